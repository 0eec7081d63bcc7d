/*
 * Tells the neighbours where the adapter's IP addresses are after a connection that the client knows nothing of: the
 * domain runs on another host, or its backend is another one, and switches have to learn it.
 *
 * The addresses are those of the interface that stands for the adapter (netio). A list of them is kept, and read anew
 * whenever netio tells of a change. For an IPv4 address an ARP announcement goes out (RFC 5227 section 3), for an IPv6
 * address an unsolicited neighbour advertisement to all nodes (RFC 4861 section 7.2.6), as frames of our own without a
 * tag.
 *
 * Everything but netio's callback is called by the frontend's thread, or while there is none.
 */
#ifndef XENVIF_ANNOUNCER_H
#define XENVIF_ANNOUNCER_H

#include <ntddk.h>

typedef struct _XENVIF_FRONTEND XENVIF_FRONTEND, *PXENVIF_FRONTEND;
typedef struct _XENVIF_ANNOUNCER XENVIF_ANNOUNCER, *PXENVIF_ANNOUNCER;

_IRQL_requires_(PASSIVE_LEVEL)
NTSTATUS AnnouncerInitialize(_In_ PXENVIF_FRONTEND Frontend, _Outptr_ PXENVIF_ANNOUNCER *Announcer);

_IRQL_requires_(PASSIVE_LEVEL)
VOID AnnouncerTeardown(_In_ PXENVIF_ANNOUNCER Announcer);

/*
 * Reads the addresses if they have changed. From the first call on that succeeds until AnnouncerStop returns netio
 * tells of changes, and the frontend's thread is woken by them. FALSE: for want of memory it could not be done, or
 * netio does not tell; the log says so, and the call is to be made again. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN AnnouncerUpdate(_Inout_ PXENVIF_ANNOUNCER Announcer);

/* The end of that; may be called again. PASSIVE_LEVEL. */
_IRQL_requires_(PASSIVE_LEVEL)
VOID AnnouncerStop(_Inout_ PXENVIF_ANNOUNCER Announcer);

/* From here on all addresses are to be announced, and none has been. */
VOID AnnouncerBegin(_Inout_ PXENVIF_ANNOUNCER Announcer);

/*
 * Queues the frames that are to be sent yet, for the addresses that are known. FALSE: there is no memory, or no room in
 * the queue, for one of them; the log says so, and the call, which goes on there, is to be made again. PASSIVE_LEVEL.
 */
_IRQL_requires_(PASSIVE_LEVEL)
BOOLEAN AnnouncerSend(_Inout_ PXENVIF_ANNOUNCER Announcer);

#endif /* XENVIF_ANNOUNCER_H */

/*
 * A client of XENVIF_VIF version 10 that the test itself plays: chains of any shape with any options go to
 * TransmitterQueuePacket, and all that comes back is kept as it came. It takes the place of a network driver on VIF 1,
 * by the probe (STACK_PROBE).
 *
 * For the scenario's guest thread.
 */
#ifndef TESTS_COMMON_VIF_CLIENT_H
#define TESTS_COMMON_VIF_CLIENT_H

#include "common/stack.h"

#include "vif_interface.h"

#define VIF_CLIENT_KEPT 128u
/* Those that it may hold. */
#define VIF_CLIENT_HELD 1024u

/* The bits of XENVIF_VIF_OFFLOAD_OPTIONS as constants: OPTION(NeedChecksumValue). */
enum {
    OPTION_OffloadTagManipulation = 1 << 0,
    OPTION_OffloadIpVersion4LargePacket = 1 << 1,
    OPTION_OffloadIpVersion4HeaderChecksum = 1 << 2,
    OPTION_OffloadIpVersion4TcpChecksum = 1 << 3,
    OPTION_OffloadIpVersion4UdpChecksum = 1 << 4,
    OPTION_OffloadIpVersion6LargePacket = 1 << 5,
    OPTION_OffloadIpVersion6TcpChecksum = 1 << 6,
    OPTION_OffloadIpVersion6UdpChecksum = 1 << 7,
    OPTION_NeedChecksumValue = 1 << 8,
    OPTION_NeedLargePacketSplit = 1 << 9
};
#define OPTION(name) OPTION_##name

extern XENVIF_VIF_INTERFACE vif_client;

/* Acquire the interface; enable it, letting in every frame; and the ways back. */
void vif_client_acquire(void);
void vif_client_enable(void);
void vif_client_disable(void);
void vif_client_release(void);
void vif_client_await_link(bool up);
/* All of it, with the backend that a test plays (vif_backend.h): until the two are connected, and the end. */
void vif_client_begin(void);
void vif_client_finish(void);

/* What to send. */
struct vif_client_packet {
    const uint8_t *data;
    size_t length;
    XENVIF_VIF_OFFLOAD_OPTIONS options;
    uint16_t mss, tci;
    const XENVIF_PACKET_HASH *hash;
    size_t first; /* bytes in the first MDL; 0: as in the others */
    size_t piece; /* bytes in each MDL; 0: all */
    size_t skew;  /* where each MDL begins in its page; beyond the first it is skewed once more each */
    size_t ahead; /* bytes in the chain before the packet */
    bool empty;   /* an MDL with nothing in it comes first */
    bool more;    /* another packet is to follow at once */
};

/* Queue it. The status is that of the call. */
NTSTATUS vif_client_send(const struct vif_client_packet *packet);
/* The same packet once more, before it is back: it is when all of them are. */
NTSTATUS vif_client_repeat(const struct vif_client_packet *packet);
/* Wait until it is back: what it, or the last of them, came back with. */
XENVIF_TRANSMITTER_PACKET_COMPLETION_INFO vif_client_await_sent(void);
/* Whether it is back. */
bool vif_client_is_back(void);

/* A packet that was received. */
struct vif_client_received {
    uint8_t data[65536];
    size_t length;
    size_t first;  /* bytes of it in the first MDL */
    size_t offset; /* where it begins in the first MDL, and that in its page */
    size_t page_offset;
    unsigned mdls;
    XENVIF_PACKET_CHECKSUM_FLAGS flags;
    uint16_t mss, tci;
    XENVIF_PACKET_INFO info;
    XENVIF_PACKET_HASH hash;
    unsigned index;
    bool more;
};

/* How the client behaves, in vif_client_mode: */
struct vif_client_mode {
    bool hold;                     /* keep packets until vif_client_return() */
    unsigned pause_every;          /* ask for a pause with every n-th packet; 0: never */
    void (*look)(unsigned before); /* at each packet that comes, with how many came before it; may be NULL */
};
extern struct vif_client_mode vif_client_mode;

/* Packets received since the last time. They stay until the next call. */
unsigned vif_client_received_count(void);
void vif_client_forget(void);
const struct vif_client_received *vif_client_received(unsigned index);
/* Wait until there are so many; no more may come within a moment. */
void vif_client_await_received(unsigned count);
/* Give back those that are held, last first; and so many of them. */
void vif_client_return(void);
void vif_client_return_some(unsigned count);

uint64_t vif_client_statistic(XENVIF_VIF_STATISTIC index);

#endif

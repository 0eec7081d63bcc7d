/*
 * What \Device\NetClient<n> understands, n being the number of the VIF (symbolic link \DosDevices\NetClient<n>).
 *
 * WRITE sends one Ethernet frame: the IRP's MDL is what the VIF gets, or, with SET_SHAPE, a chain that the frame has
 * been copied into; the IRP completes when the packet comes back.
 *
 * The byte offset of a WRITE says what is left to the VIF of this one frame: bits 0 to 15 are
 * XENVIF_VIF_OFFLOAD_OPTIONS, 16 to 31 the maximum segment size. Zero: what SET_OFFLOAD says.
 *
 *   STATUS_SUCCESS              the backend took it; Information is its length
 *   STATUS_NETWORK_UNREACHABLE  it was dropped: no link, disabled meanwhile, or the backend said so
 *   STATUS_IO_DEVICE_ERROR      the backend refused it, or there were no resources to send it
 *   STATUS_DEVICE_NOT_READY     packets are refused while there is no connection
 *   STATUS_INVALID_PARAMETER    it is no frame that can be sent (too short, too long)
 *   STATUS_CANCELLED            cancelled, closed or stopped before the VIF had it
 *   STATUS_DELETE_PENDING       the device goes
 *
 * Frames go out in the order of their IRPs. Those that the VIF has no room for wait here and can be cancelled; one that
 * the VIF has cannot: it comes back by itself.
 *
 * READ gives one received frame, in order; it waits for one and can be cancelled. Information is the frame's length.
 * STATUS_BUFFER_TOO_SMALL: the frame is longer than the buffer, Information says how long; it stays the next one.
 *
 * In NETCLIENT_MODE.Rows a request carries a row of frames, as a list of NDIS's does: its buffer is NETCLIENT_ENTRY
 * after NETCLIENT_ENTRY, each at a multiple of their alignment and followed by its frame. A WRITE's row is the whole
 * buffer; it completes when all of its packets have come back, Information is how many the backend took, and the status
 * is that of the first that it did not; the byte offset has no meaning. A READ gives as many frames as are there and
 * fit, at least one; Information is the length of the row.
 *
 * The packet generator (PKTGEN_...) takes frames once and keeps them in nonpaged memory, an MDL each; it sends them
 * round and round from the thread that asks for it, and of those that come checks each one's length and first bytes
 * where they are. BEGIN says how many, SEND and EXPECT bring the frames in their order, in rows or all at once, RUN
 * does it and returns when all that was sent has come back and all that is expected has come, when nothing has moved
 * for some seconds, or when a packet is not taken; Result.Status says which. From the last EXPECT on frames that come
 * are the generator's. One generator a start of the device; there is one thread that uses these codes. The statistics
 * do not count its packets.
 *
 * DEVICE_CONTROL: the codes below, all METHOD_BUFFERED. STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER,
 * STATUS_INVALID_DEVICE_REQUEST (no such code), STATUS_DEVICE_NOT_READY (the device is not started). Queries give the
 * structure's size as Information.
 */
#ifndef NETCLIENT_IOCTL_H
#define NETCLIENT_IOCTL_H

#define NETCLIENT_DEVICE_TYPE 0x8000
#define NETCLIENT_CODE(_Function) ((ULONG)CTL_CODE(NETCLIENT_DEVICE_TYPE, _Function, METHOD_BUFFERED, FILE_ANY_ACCESS))

#define IOCTL_NETCLIENT_QUERY_STATISTICS NETCLIENT_CODE(0x800)   /* out: NETCLIENT_STATISTICS */
#define IOCTL_NETCLIENT_QUERY_LINK NETCLIENT_CODE(0x801)         /* out: NETCLIENT_LINK */
#define IOCTL_NETCLIENT_WAIT_LINK NETCLIENT_CODE(0x802)          /* in: NETCLIENT_WAIT; completes when the link is so */
#define IOCTL_NETCLIENT_SET_MODE NETCLIENT_CODE(0x803)           /* in: NETCLIENT_MODE */
#define IOCTL_NETCLIENT_SET_FILTER NETCLIENT_CODE(0x804)         /* in: NETCLIENT_FILTER */
#define IOCTL_NETCLIENT_SET_MULTICAST NETCLIENT_CODE(0x805)      /* in: any number of addresses of 6 bytes, also none */
#define IOCTL_NETCLIENT_SET_OFFLOAD NETCLIENT_CODE(0x806)        /* in: NETCLIENT_OFFLOAD */
#define IOCTL_NETCLIENT_SET_HASH_ALGORITHM NETCLIENT_CODE(0x807) /* in: ULONG, XENVIF_PACKET_HASH_ALGORITHM */
#define IOCTL_NETCLIENT_QUERY_HASH_TYPES NETCLIENT_CODE(0x808)   /* out: ULONG, Toeplitz's types */
#define IOCTL_NETCLIENT_SET_HASH_PARAMETERS NETCLIENT_CODE(0x809) /* in: NETCLIENT_HASH */
#define IOCTL_NETCLIENT_SET_HASH_MAPPING NETCLIENT_CODE(0x80A)    /* in: any number of PROCESSOR_NUMBER */
#define IOCTL_NETCLIENT_QUERY_FRAMES NETCLIENT_CODE(0x80B)        /* out: NETCLIENT_FRAMES, see there */
#define IOCTL_NETCLIENT_SET_SHAPE NETCLIENT_CODE(0x80C)           /* in: NETCLIENT_SHAPE */

#define IOCTL_NETCLIENT_PKTGEN_BEGIN NETCLIENT_CODE(0x80D)  /* in: NETCLIENT_PKTGEN */
#define IOCTL_NETCLIENT_PKTGEN_SEND NETCLIENT_CODE(0x80E)   /* in: a row of NETCLIENT_ENTRY, each with its frame */
#define IOCTL_NETCLIENT_PKTGEN_EXPECT NETCLIENT_CODE(0x80F) /* in: any number of NETCLIENT_EXPECTED */
#define IOCTL_NETCLIENT_PKTGEN_RUN NETCLIENT_CODE(0x810)    /* out: NETCLIENT_PKTGEN_RESULT */

#define NETCLIENT_VIF_STATISTICS 50

typedef struct _NETCLIENT_STATISTICS {
    ULONG64 Vif[NETCLIENT_VIF_STATISTICS]; /* by XENVIF_VIF_STATISTIC */
    ULONG64 Written;                       /* frames that the VIF has taken */
    ULONG64 WrittenOk;                     /* of these, those that came back as sent */
    ULONG64 WrittenDropped;                /* as dropped */
    ULONG64 WrittenError;                  /* as errors */
    ULONG64 Received;                      /* frames that the VIF has given */
    ULONG64 ReceivedRead;                  /* of these, those that a READ got */
    ULONG64 ReceivedLost;                  /* those that there was no room for here */
    ULONG64 ReceivedReturned;              /* those that nobody had read when packets stopped, as in D3 */
    ULONG64 Pauses;                        /* times that the client asked for a pause */
    ULONG64 LinkChanges;                   /* times that the VIF said that the link has changed */
} NETCLIENT_STATISTICS, *PNETCLIENT_STATISTICS;

typedef struct _NETCLIENT_LINK {
    UCHAR PermanentAddress[6];
    UCHAR CurrentAddress[6];
    ULONG Connected; /* 0 or 1 */
    ULONG FullDuplex;
    ULONG64 LinkSpeed; /* bit/s */
    ULONG MaximumFrameSize;
    ULONG RingCount;
    ULONG TransmitterRingSize;
    ULONG ReceiverRingSize;
    ULONG OffloadOptions;     /* what the transmit side offers, XENVIF_VIF_OFFLOAD_OPTIONS */
    ULONG LargePacketSize[2]; /* IPv4, IPv6 */
    ULONG Reserved;
} NETCLIENT_LINK, *PNETCLIENT_LINK;

typedef struct _NETCLIENT_WAIT {
    ULONG Connected; /* 0 or 1: the state to wait for */
} NETCLIENT_WAIT, *PNETCLIENT_WAIT;

/*
 * How received packets go back to the VIF, and what requests carry. All zero: each at once, in order; a frame a
 * request. STATUS_INVALID_PARAMETER: Rows with any other. Rows is set while no request is under way, and frames are not
 * shaped.
 */
typedef struct _NETCLIENT_MODE {
    ULONG ReverseEvery;     /* collect so many packets, and return them last first; 0 and 1: no collecting */
    ULONG HoldMilliseconds; /* keep each packet so long after it was read */
    ULONG PauseEvery;       /* ask for a pause with every n-th packet; 0: only when too many wait here */
    ULONG Rows;             /* 0 or 1: requests carry rows of frames */
} NETCLIENT_MODE, *PNETCLIENT_MODE;

/* Ahead of each frame of a row. */
typedef struct _NETCLIENT_ENTRY {
    ULONG Length; /* of the frame */
    ULONG Left;   /* of a WRITE: what is left to the VIF, as a single frame's byte offset says it */
    ULONG64 Reserved;
} NETCLIENT_ENTRY, *PNETCLIENT_ENTRY;

/* From an entry to the next one. */
#define NETCLIENT_ENTRY_SIZE(_Length) ((ULONG)sizeof(NETCLIENT_ENTRY) + (((_Length) + 15u) & ~15u))

typedef struct _NETCLIENT_FILTER {
    ULONG Type;  /* ETHERNET_ADDRESS_TYPE */
    ULONG Level; /* XENVIF_MAC_FILTER_LEVEL; all types are ALL at first */
} NETCLIENT_FILTER, *PNETCLIENT_FILTER;

/* What the client wants of the receive side, and with each packet that it sends. */
typedef struct _NETCLIENT_OFFLOAD {
    USHORT ReceiverOptions;    /* XENVIF_VIF_OFFLOAD_OPTIONS */
    USHORT TransmitterOptions; /* likewise; the VIF refuses what it does not offer */
    USHORT MaximumSegmentSize;
    USHORT TagControlInformation;
    ULONG BackfillSize;
} NETCLIENT_OFFLOAD, *PNETCLIENT_OFFLOAD;

/* How frames that are written lie in memory when the VIF gets them. All zero: as the writer's buffer lies. */
typedef struct _NETCLIENT_SHAPE {
    ULONG FragmentSize; /* bytes of the frame in each MDL of a chain */
    ULONG PageOffset;   /* of the first MDL, from the start of a page */
    ULONG LeadingBytes; /* in the first MDL ahead of the frame */
    ULONG Gap;          /* bytes of memory between two MDLs */
} NETCLIENT_SHAPE, *PNETCLIENT_SHAPE;

typedef struct _NETCLIENT_HASH {
    ULONG Types;
    UCHAR Key[40];
} NETCLIENT_HASH, *PNETCLIENT_HASH;

/* What the VIF said of a frame that it gave. */
typedef struct _NETCLIENT_FRAME_INFO {
    USHORT Index; /* of the queue */
    USHORT Processor;
    ULONG Length;
    ULONG Flags; /* XENVIF_PACKET_CHECKSUM_FLAGS */
    USHORT MaximumSegmentSize;
    USHORT TagControlInformation;
    ULONG HashAlgorithm;
    ULONG HashType;
    ULONG HashValue;
} NETCLIENT_FRAME_INFO, *PNETCLIENT_FRAME_INFO;

#define NETCLIENT_FRAMES_KEPT 256

/* The last frames that came, in their order, and how many have come in all; asking takes none away. */
typedef struct _NETCLIENT_FRAMES {
    ULONG64 Total;
    NETCLIENT_FRAME_INFO Frame[NETCLIENT_FRAMES_KEPT]; /* that of frame number n is at n modulo their number */
} NETCLIENT_FRAMES, *PNETCLIENT_FRAMES;

#define NETCLIENT_PKTGEN_WINDOW 512u    /* packets that the VIF has at most */
#define NETCLIENT_PKTGEN_BATCH_MAX 256u /* of them */
#define NETCLIENT_PKTGEN_HEAD 96u       /* bytes of each frame that are compared at most */

/* STATUS_INVALID_PARAMETER: no rounds, no batch, too large a one. STATUS_INVALID_DEVICE_STATE: there is a generator. */
typedef struct _NETCLIENT_PKTGEN {
    ULONG64 Rounds; /* times that all frames go, and come */
    ULONG Send;     /* frames of SEND */
    ULONG Expect;   /* frames of EXPECT */
    ULONG Batch;    /* packets that the VIF is given in a row (More) */
    ULONG Reserved;
} NETCLIENT_PKTGEN, *PNETCLIENT_PKTGEN;

/* A frame that is to come. The checksum of one that was left to a card may come in either of two forms. */
typedef struct _NETCLIENT_EXPECTED {
    ULONG Length;
    USHORT Size;    /* of its first bytes, which are compared */
    USHORT OtherAt; /* where in them the two bytes lie that may be others; 0: nowhere */
    UCHAR Other[2]; /* those */
    UCHAR Head[NETCLIENT_PKTGEN_HEAD];
} NETCLIENT_EXPECTED, *PNETCLIENT_EXPECTED;

typedef struct _NETCLIENT_PKTGEN_RESULT {
    LONG Status;           /* STATUS_SUCCESS; STATUS_IO_TIMEOUT: nothing moved; else that of the packet not taken */
    ULONG DifferentLength; /* of the first frame that was not the one expected */
    UCHAR DifferentHead[NETCLIENT_PKTGEN_HEAD];
    ULONG64 Different; /* number of the one expected in its place, from 0 over all rounds; ~0: all were right */
    ULONG64 Sent;      /* packets that the VIF has taken, */
    ULONG64 SentOk;    /* and how they came back */
    ULONG64 SentDropped;
    ULONG64 SentError;
    ULONG64 Received; /* frames that came, */
    ULONG64 ReceivedBytes;
    ULONG64 ReceivedGood;    /* those in their place, */
    ULONG64 ReceivedLate;    /* behind their place, or a second time, */
    ULONG64 ReceivedCorrupt; /* and in the place of another */
} NETCLIENT_PKTGEN_RESULT, *PNETCLIENT_PKTGEN_RESULT;

#endif /* NETCLIENT_IOCTL_H */

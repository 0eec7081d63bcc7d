/* A package of today's tables whose device IDs are the same in every package; see drivers/include/revision.h. */
#define PDO_STABLE_DEVICE_ID 1

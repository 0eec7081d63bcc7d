/*
 * A guest with one VIF that netback serves, for the tests of netback: the test is the guest's thread and plays the
 * frontend (netfront.h); netback is a dom0 task whose network end sends `sent` and expects `received`.
 */
#ifndef TESTS_COMMON_BACKEND_H
#define TESTS_COMMON_BACKEND_H

#include "common/guest.h"
#include "common/netfront.h"

#include "capture.h"
#include "netback.h"
#include "port_capture.h"
#include "port_checker.h"
#include "toolstack.h"

/* Set before backend_begin(): backend_offer() the features by their words, backend_load() a capture from a file. */
extern struct netback_options backend_options;
extern struct netback_features backend_features;
extern struct capture backend_sent, backend_received;
void backend_offer(const char *words);
void backend_load(struct capture *capture, const char *path);

/* There after it. */
extern struct netback *backend_netback; /* NULL once it has stopped */
extern struct toolstack *backend_toolstack;
extern unsigned backend_domid;
extern struct port *backend_end, *backend_checker;
extern const struct backend_logger backend_logger;

/* The guest's domain, netback, and a VIF whose backend waits for the frontend. */
struct netfront *backend_begin(void);
bool backend_attach(int timeout_ms);
void backend_start_netback(void);
void backend_stop_netback(void);
const struct netback_statistics *backend_statistics(void);
/* So many frames from the guest were as expected, and none was not. */
void backend_assert_good(uint64_t good);

/* Frames with contents that tell them apart. */
void backend_make_frames(struct capture *capture, const uint32_t *length, unsigned count);

/* A key as domain 0 sees it; free the value. */
char *backend_read_key(const char *key);
/* NULL: the key is absent. */
void backend_assert_key(const char *key, const char *expected);
/* The same of a key that netback is about to write or to remove: within a second of the machine's. */
void backend_await_key(const char *key, const char *expected);

#define BACKEND_PATH "/local/domain/0/backend/vif/1/0/"

/* A test whose body runs in the guest's thread. */
#define GUEST_TEST(name)                                                                                               \
    static void name##_body(void *argument);                                                                           \
    START_TEST(name)                                                                                                   \
    {                                                                                                                  \
        struct machine_config config = guest_config(1);                                                                \
        config.timeout_ns = UINT64_C(120000000000);                                                                    \
        guest_run_with(&config, name##_body, NULL);                                                                    \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name##_body(__attribute__((unused)) void *argument)

#endif

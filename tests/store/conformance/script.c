#include "store/conformance/script.h"

#include <check.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYNC 0xff000000u /* req_id of the request that ends the wait for messages */
#define REFERENCE 'Z'    /* client of the harness: when it is answered, what came before has been handled */
#define MAX_BYTES 16384u

static const struct {
    const char *name;
    uint32_t type;
} types[] = {
    {"CONTROL", XS_CONTROL},
    {"DIRECTORY", XS_DIRECTORY},
    {"READ", XS_READ},
    {"GET_PERMS", XS_GET_PERMS},
    {"WATCH", XS_WATCH},
    {"UNWATCH", XS_UNWATCH},
    {"TRANSACTION_START", XS_TRANSACTION_START},
    {"TRANSACTION_END", XS_TRANSACTION_END},
    {"INTRODUCE", XS_INTRODUCE},
    {"RELEASE", XS_RELEASE},
    {"GET_DOMAIN_PATH", XS_GET_DOMAIN_PATH},
    {"WRITE", XS_WRITE},
    {"MKDIR", XS_MKDIR},
    {"RM", XS_RM},
    {"SET_PERMS", XS_SET_PERMS},
    {"WATCH_EVENT", XS_WATCH_EVENT},
    {"ERROR", XS_ERROR},
    {"IS_DOMAIN_INTRODUCED", XS_IS_DOMAIN_INTRODUCED},
    {"RESUME", XS_RESUME},
    {"SET_TARGET", XS_SET_TARGET},
    {"RESET_WATCHES", XS_RESET_WATCHES},
    {"DIRECTORY_PART", XS_DIRECTORY_PART},
};

struct bytes {
    uint8_t at[MAX_BYTES];
    uint32_t length;
};

static void add_byte(struct bytes *bytes, int byte)
{
    ck_assert_uint_lt(bytes->length, MAX_BYTES);
    bytes->at[bytes->length++] = (uint8_t)byte;
}

static unsigned hex_digit(char digit)
{
    ck_assert_msg(isxdigit((unsigned char)digit), "\\x without two digits");
    return (unsigned)(isdigit((unsigned char)digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

/* Text of the script to bytes: | is a NUL, \s a space, \xNN a byte, \{x*n} n times x, \p the domain's port. */
static void parse_bytes(struct script_run *run, const char *text, struct bytes *bytes)
{
    char port[16];

    while (*text) {
        if (*text == '|') {
            add_byte(bytes, 0);
            text++;
        } else if (*text != '\\') {
            add_byte(bytes, *text++);
        } else if (text[1] == 's') {
            add_byte(bytes, ' ');
            text += 2;
        } else if (text[1] == 'x') {
            add_byte(bytes, (int)(hex_digit(text[2]) << 4 | hex_digit(text[3])));
            text += 4;
        } else if (text[1] == '{') {
            char *end;
            unsigned long count = strtoul(text + 4, &end, 10);

            ck_assert_msg(text[3] == '*' && *end == '}', "\\{x*n}: %s", text);
            while (count--)
                add_byte(bytes, text[2]);
            text = end + 1;
        } else {
            ck_assert_msg(text[1] == 'p', "unknown escape: %s", text);
            snprintf(port, sizeof(port), "%u", run->side.functions->port(run->side.state, 1));
            for (const char *digit = port; *digit; digit++)
                add_byte(bytes, *digit);
            text += 2;
        }
    }
}

static void describe(FILE *out, char client, const struct side_message *message)
{
    fprintf(out, "%c < ", client);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].type == message->header.type)
            fprintf(out, "%s ", types[i].name);
    }
    fprintf(out, "type %u req %u tx %u len %u: ", message->header.type, message->header.req_id, message->header.tx_id,
            message->header.len);
    for (uint32_t i = 0; i < message->header.len; i++) {
        uint8_t byte = message->payload[i];

        if (byte == 0)
            fputc('|', out);
        else if (byte > ' ' && byte < 0x7f && byte != '|' && byte != '\\')
            fputc(byte, out);
        else
            fprintf(out, "\\x%02x", byte);
    }
    fputc('\n', out);
}

static void put_request(struct script_run *run, char client, uint32_t type, uint32_t request, uint32_t transaction,
                        const struct bytes *payload, uint32_t length)
{
    struct xsd_sockmsg header = {.type = type, .req_id = request, .tx_id = transaction, .len = length};
    uint8_t *whole = malloc(sizeof(header) + payload->length);

    memcpy(whole, &header, sizeof(header));
    memcpy(whole + sizeof(header), payload->at, payload->length);
    run->side.functions->put(run->side.state, client, whole, (uint32_t)sizeof(header) + payload->length);
    free(whole);
    run->in_use[(unsigned char)client] = true;
}

/* Everything that the client has been sent: messages up to the answer to a request of our own. */
static void collect(struct script_run *run, char client, FILE *out)
{
    static const struct bytes domain = {{'0', 0}, 2};
    static struct side_message message;
    unsigned at = (unsigned char)client;

    if (run->over[at])
        return;
    if (run->partial[at])
        return; /* a request of ours would become part of the client's */
    put_request(run, client, XS_GET_DOMAIN_PATH, SYNC, 0, &domain, domain.length);
    for (;;) {
        if (!run->side.functions->get(run->side.state, client, &message)) {
            run->over[at] = true;
            if (!out)
                ck_abort_msg("%s no longer answers", run->side.functions->name);
            if (isdigit(at))
                fprintf(out, "%c error %u\n", client, run->side.functions->ring(run->side.state, at - '0')->error);
            else
                fprintf(out, "%c closed\n", client);
            return;
        }
        if (message.header.req_id == SYNC && message.header.type == XS_GET_DOMAIN_PATH)
            return;
        if (message.header.type == XS_TRANSACTION_START && run->transactions[at] < SCRIPT_TRANSACTIONS)
            run->transaction[at][run->transactions[at]++] = (uint32_t)strtoul((char *)message.payload, NULL, 10);
        if (out)
            describe(out, client, &message);
    }
}

static uint32_t type_of(const char *name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    }
    ck_abort_msg("no request is called %s", name);
}

/* "@a": the client's first transaction; "@7": the identifier 7. */
static uint32_t transaction_of(const struct script_run *run, char client, const char *text)
{
    if (!islower((unsigned char)*text))
        return (uint32_t)strtoul(text, NULL, 10);
    ck_assert_msg((unsigned)(*text - 'a') < run->transactions[(unsigned char)client], "transaction @%c has not begun",
                  *text);
    return run->transaction[(unsigned char)client][*text - 'a'];
}

static void client_step(struct script_run *run, char client, char *verb, char *rest)
{
    static struct bytes payload;
    unsigned at = (unsigned char)client;

    payload.length = 0;
    if (strcmp(verb, "CLOSE") == 0) {
        run->side.functions->close(run->side.state, client);
        run->in_use[at] = run->partial[at] = run->over[at] = false;
        run->transactions[at] = 0;
    } else if (strcmp(verb, "RAW") == 0) {
        parse_bytes(run, rest, &payload);
        run->side.functions->put(run->side.state, client, payload.at, payload.length);
        run->in_use[at] = run->partial[at] = true;
    } else if (strcmp(verb, "SEND") == 0) {
        unsigned type, transaction, length;
        int used = 0;

        ck_assert_msg(sscanf(rest, "%u %u %u %n", &type, &transaction, &length, &used) == 3, "SEND: %s", rest);
        parse_bytes(run, rest + used, &payload);
        put_request(run, client, type, run->request, transaction, &payload, length);
        run->partial[at] = payload.length < length && length <= XENSTORE_PAYLOAD_MAX;
    } else {
        char *tx = strchr(verb, '@');

        if (tx)
            *tx++ = '\0';
        parse_bytes(run, rest, &payload);
        put_request(run, client, type_of(verb), run->request, tx ? transaction_of(run, client, tx) : 0, &payload,
                    payload.length);
        run->partial[at] = false;
    }
}

static void domain_step(struct script_run *run, const char *what)
{
    const struct side_functions *functions = run->side.functions;
    char verb[16];
    unsigned domid;

    ck_assert_msg(sscanf(what, "%u %15s", &domid, verb) == 2, "domain %s", what);
    if (strcmp(verb, "create") == 0) {
        functions->domain_create(run->side.state, domid);
    } else if (strcmp(verb, "shutdown") == 0) {
        functions->domain_shutdown(run->side.state, domid);
    } else if (strcmp(verb, "destroy") == 0) {
        functions->domain_destroy(run->side.state, domid);
        run->in_use['0' + domid] = run->over['0' + domid] = run->partial['0' + domid] = false;
    } else if (strcmp(verb, "forget") == 0) { /* the script expects that the store no longer serves the ring */
        run->in_use['0' + domid] = false;
    } else {
        ck_abort_msg("a domain can't %s", verb);
    }
}

char *script_step(struct script_run *run, const char *line)
{
    char *copy = strdup(line), *verb, *rest, *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    run->request++;
    verb = strchr(copy, ' ');
    ck_assert_msg(verb != NULL, "no verb: %s", line);
    *verb++ = '\0';
    if (strcmp(copy, "domain") == 0) {
        domain_step(run, verb);
    } else {
        ck_assert_msg(!copy[1], "clients are letters and digits: %s", line);
        rest = verb + strcspn(verb, " ");
        if (*rest)
            *rest++ = '\0';
        client_step(run, copy[0], verb, rest);
        run->side.functions->settle(run->side.state, copy[0]);
    }
    /* Two rounds: when the second is answered, the daemon has been through all that was ready before the first. */
    collect(run, REFERENCE, NULL);
    collect(run, REFERENCE, NULL);
    for (unsigned client = 0; client < 128; client++) {
        if (run->in_use[client] && client != REFERENCE)
            collect(run, (char)client, out);
    }
    fclose(out);
    free(copy);
    return text;
}

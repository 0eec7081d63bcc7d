#include "store/conformance/random.h"

#include <stdio.h>
#include <string.h>

static unsigned draw(struct random_script *script, unsigned below)
{
    script->state = script->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(script->state >> 33) % below;
}

#define PICK(script, array) ((array)[draw(script, sizeof(array) / sizeof((array)[0]))])

void random_start(struct random_script *script, uint64_t seed)
{
    memset(script, 0, sizeof(*script));
    script->state = seed * 0x9e3779b97f4a7c15u;
}

/* The guest is introduced and has a home of its own, and a node that it may read. */
static const char *const preface[] = {
    "A WRITE /a/b/c|value",
    "A SET_PERMS /a/b|n0|r1|",
    "domain 1 create",
    "A INTRODUCE 1|1|\\p|",
    "A WRITE /local/domain/1/data|",
    "A SET_PERMS /local/domain/1/data|n1|",
    "A WATCH /a|all|",
    "1 WATCH data|mine|",
};

static const char *path(struct random_script *script)
{
    static const char *const paths[] = {
        "/",
        "/a",
        "/a/b",
        "/a/b/c",
        "/a/b/c/d",
        "/a/b2",
        "/x",
        "/x/y",
        "/local/domain/1/data",
        "data",
        "data/k",
        "data/k/l",
        "data/m",
        "data/m/n",
        "",
        "//",
        "/a/",
        "/a b",
        "@introduceDomain",
        "@releaseDomain",
        "@x",
        "/local/domain/1",
        "/local",
        "/tool",
        "data/",
        "/x/y/z/u/v",
    };

    return PICK(script, paths);
}

static void permissions(struct random_script *script, char *text, size_t size)
{
    static const char *const entries[] = {
        "n0|",    "r0|",    "b0|",    "w0|",       "n1|", "r1|", "b1|", "w1|",
        "n1|r0|", "n0|r1|", "n0|b1|", "n0|w1|b0|", "x1|", "r|",  "",    "n1|r0|b1|w0|n0|r1|"};

    snprintf(text, size, "%s", PICK(script, entries));
}

const char *random_line(struct random_script *script)
{
    static const char *const verbs[] = {
        "READ",
        "READ",
        "WRITE",
        "WRITE",
        "WRITE",
        "MKDIR",
        "RM",
        "RM",
        "DIRECTORY",
        "GET_PERMS",
        "SET_PERMS",
        "SET_PERMS",
        "WATCH",
        "UNWATCH",
        "TRANSACTION_START",
        "TRANSACTION_END",
        "TRANSACTION_END",
        "RESET_WATCHES",
    };
    static const char client_names[] = {'A', '1'};
    unsigned client = draw(script, 2);
    const char *verb = PICK(script, verbs);
    char transaction[8] = "", text[64];
    int length;

    if (script->step < sizeof(preface) / sizeof(preface[0]))
        return preface[script->step++];
    script->step++;
    if (strcmp(verb, "RESET_WATCHES") == 0 && draw(script, 4))
        verb = "READ";
    if (script->begun[client] && draw(script, 3))
        snprintf(transaction, sizeof(transaction), "@%c", 'a' + (char)draw(script, script->begun[client]));
    if (strcmp(verb, "TRANSACTION_START") == 0) {
        if (script->begun[client] == 26)
            verb = "DIRECTORY";
        else if (draw(script, 8))
            transaction[0] = '\0';
    }
    length = snprintf(script->line, sizeof(script->line), "%c %s%s ", client_names[client], verb, transaction);
    if (strcmp(verb, "TRANSACTION_START") == 0) {
        /* Whether it gets one is the store's to say; the script counts those that no limit refuses. */
        snprintf(script->line + length, sizeof(script->line) - (size_t)length, "|");
        if (!transaction[0] && script->begun[client] < 9)
            script->begun[client]++;
        else if (!transaction[0])
            snprintf(script->line, sizeof(script->line), "%c DIRECTORY /|", client_names[client]);
    } else if (strcmp(verb, "TRANSACTION_END") == 0) {
        snprintf(script->line + length, sizeof(script->line) - (size_t)length, draw(script, 4) ? "T|" : "F|");
    } else if (strcmp(verb, "WRITE") == 0) {
        snprintf(script->line + length, sizeof(script->line) - (size_t)length, "%s|%u", path(script),
                 draw(script, 100));
    } else if (strcmp(verb, "SET_PERMS") == 0) {
        const char *of = path(script);

        /* What the real one refuses of an event's permissions it answers with an errno that is left from elsewhere, or
         * dies of. */
        if (of[0] == '@')
            of = "/x";
        permissions(script, text, sizeof(text));
        snprintf(script->line + length, sizeof(script->line) - (size_t)length, "%s|%s", of, text);
    } else if (strcmp(verb, "WATCH") == 0 || strcmp(verb, "UNWATCH") == 0) {
        snprintf(script->line + length, sizeof(script->line) - (size_t)length, "%s|t%u|", path(script),
                 draw(script, 2));
    } else {
        snprintf(script->line + length, sizeof(script->line) - (size_t)length, "%s|", path(script));
    }
    return script->line;
}

/* The commands that show a failure again. */
#include <string.h>

#include "cli/cli.h"

static void print_word(const char *word)
{
    if (*word != '\0' &&
        strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%") == strlen(word)) {
        printf(" %s", word);
        return;
    }
    fputs(" '", stdout);
    for (; *word != '\0'; word++)
        if (*word == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*word);
    putchar('\'');
}

void command_print_again(int argc, char **argv, const char *bundle)
{
    if (bundle[0] != '\0')
        printf("  again: pvsim replay %s\n", bundle);
    printf("  %s pvsim", bundle[0] != '\0' ? "or:   " : "again:");
    for (int index = 0; index < argc; index++)
        print_word(argv[index]);
    putchar('\n');
}

#include "log.h"

#include <stdarg.h>
#include <stdio.h>

void backend_log(const struct backend_logger *logger, enum backend_log_level level, const char *format, ...)
{
    char line[512];
    va_list arguments;

    if (!logger || !logger->write)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    logger->write(logger->context, level, line);
}

/* Where a backend's and toolstack's lines go. Nothing here prints by itself. */
#ifndef BACKEND_LOG_H
#define BACKEND_LOG_H

enum backend_log_level { BACKEND_LOG_ERROR = 1, BACKEND_LOG_WARNING, BACKEND_LOG_INFO, BACKEND_LOG_DEBUG };

struct backend_logger {
    /* One line without a newline at its end. */
    void (*write)(void *context, enum backend_log_level level, const char *line);
    void *context;
};

/* `logger` may be NULL: then the line is dropped. */
void backend_log(const struct backend_logger *logger, enum backend_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

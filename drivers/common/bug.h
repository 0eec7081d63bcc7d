/*
 * Assertions and bugs.
 *
 * ASSERT holds what the code itself guarantees, never what another domain, the registry or a client says. It is checked
 * in builds with DBG and compiled, but not evaluated, in others. BUG ends the system in every build: for a state in
 * which going on would damage memory.
 */
#ifndef DRIVER_BUG_H
#define DRIVER_BUG_H

#include "log.h"

/*
 * The bug check code of both (not one of Windows's). Parameters: 1 the address of the module's name, 2 the address of
 * the function's name, 3 the line, 4 the address of the text.
 */
#define DRIVER_BUG_CHECK_CODE 0x58454E58

/* Logs the text and stops the system. Any IRQL. */
DECLSPEC_NORETURN VOID BugCheckText(_In_ PCSTR Function, _In_ ULONG Line, _In_ PCSTR Text);

#define BUG(_Text) BugCheckText(__FUNCTION__, __LINE__, _Text)

#define BUG_ON(_Condition)                                                                                             \
    do {                                                                                                               \
        if (_Condition)                                                                                                \
            BUG("" #_Condition);                                                                                       \
    } while (0)

#undef ASSERT
#if DBG
#define ASSERT(_Expression)                                                                                            \
    do {                                                                                                               \
        if (!(_Expression))                                                                                            \
            BUG("assertion: " #_Expression);                                                                           \
    } while (0)
#else
#define ASSERT(_Expression) ((VOID)sizeof(!(_Expression)))
#endif

/* ASSERT that one thing follows from another, and that two are true together or not at all. */
#define IMPLY(_If, _Then) (!(_If) || (_Then))
#define EQUIV(_A, _B) (!(_A) == !(_B))

#endif /* DRIVER_BUG_H */

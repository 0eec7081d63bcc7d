/* Views of threads, DPCs, locks and pool. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "machine/backtrace.h"
#include "machine/clock.h"
#include "nt/verifier/stacks.h"
#include "nt/debugger/views.h"
#include "nt/ex/ex.h"
#include "nt/ex/pool_internal.h"
#include "nt/ke/ke.h"
#include "nt/verifier/lock.h"

void view_threads(FILE *out)
{
    ke_describe_threads(out);
}

/* ---- DPCs ---- */

static void print_dpc(FILE *out, const char *what, const KDPC *dpc)
{
    static const char *const importance[] = {"low", "medium", "high", "medium high"};

    fprintf(out, "%s DPC %p, importance %s, context %p", what, (const void *)dpc,
            dpc->Importance < RTL_NUMBER_OF(importance) ? importance[dpc->Importance] : "unknown",
            dpc->DeferredContext);
    view_code(out, ", routine ", (const void *)(uintptr_t)dpc->DeferredRoutine, "\n");
}

static void print_queue(FILE *out, const struct vcpu *vcpu)
{
    const SINGLE_LIST_ENTRY *entry = vcpu->dpc_queue.Next;

    fprintf(out, "vCPU %u: %u DPCs queued, %llu run so far%s\n", vcpu->index, vcpu->dpc_depth,
            (unsigned long long)vcpu->dpcs, vcpu->dpc_held ? ", the queue is held back (--delay)" : "");
    if (vcpu->dpc_active && vcpu->dpc_routine != NULL)
        view_code(out, "  running: ", vcpu->dpc_routine, "\n");
    for (unsigned count = 0; entry != NULL && count < vcpu->dpc_depth; count++, entry = entry->Next)
        print_dpc(out, "  queued:", CONTAINING_RECORD(entry, KDPC, DpcListEntry));
}

static void print_timer(FILE *out, const KTIMER *timer)
{
    char due[64];
    int64_t left = (int64_t)(timer->DueTime.QuadPart * 100 - clock_now());

    if (left > 0)
        snprintf(due, sizeof(due), "in %lld us", (long long)left / 1000);
    else
        snprintf(due, sizeof(due), "now");
    fprintf(out, "timer %p: due %s, on vCPU %u", (const void *)timer, due, timer->Processor);
    if (timer->Period != 0)
        fprintf(out, ", then every %u ms", (unsigned)timer->Period);
    fputc('\n', out);
    if (timer->Dpc != NULL)
        print_dpc(out, "  queues", timer->Dpc);
}

void view_dpcs(FILE *out)
{
    const LIST_ENTRY *timers = &machine->ke->timers;

    for (unsigned index = 0; index < machine->config.vcpus; index++)
        print_queue(out, machine->vcpu[index]);
    for (PLIST_ENTRY entry = timers->Flink; entry != timers; entry = entry->Flink)
        print_timer(out, CONTAINING_RECORD(entry, KTIMER, TimerListEntry));
}

/* ---- locks ---- */

struct lock_print {
    FILE *out;
    unsigned count;
};

static void print_lock(void *context, const char *owner, const struct lock_held *held)
{
    struct lock_print *print = context;
    char what[384];
    void *const *frames;
    int count = stacks_frames(held->stack, &frames);

    print->count++;
    lock_describe(what, sizeof(what), held->lock, held->kind);
    fprintf(print->out, "%s, held by %s, acquired at\n", what, owner);
    if (count == 0) {
        frames = (void *const *)&held->caller;
        count = 1;
    }
    char *text = backtrace_text(frames, count);
    fputs(text, print->out);
    free(text);
}

void view_locks(FILE *out)
{
    struct lock_print print = {.out = out};

    lock_walk(print_lock, &print);
    if (print.count == 0)
        fputs("none is held\n", out);
}

/* ---- pool ---- */

static int by_bytes(const void *left, const void *right)
{
    const struct pool_statistic *a = *(const struct pool_statistic *const *)left;
    const struct pool_statistic *b = *(const struct pool_statistic *const *)right;

    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return a < b ? -1 : 1;
}

void view_pool(FILE *out)
{
    const struct pool_statistic *order[POOL_TAGS];
    struct pool_use *latest = calloc(pool()->tags + 1, sizeof(*latest));
    size_t count = 0;

    if (latest == NULL)
        abort();
    pool_latest(latest);
    for (uint32_t index = 0; index < pool()->tags; index++)
        if (pool()->statistics[index].bytes != 0)
            order[count++] = &pool()->statistics[index];
    qsort(order, count, sizeof(order[0]), by_bytes);
    fprintf(out, "%-4s  %-11s  %10s  %10s  %8s  %11s  %11s  the latest one was allocated at\n", "tag", "pool",
            "allocated", "freed", "in use", "bytes", "most bytes");
    for (size_t index = 0; index < count; index++) {
        const struct pool_statistic *statistic = order[index];
        char tag[5];

        pool_tag_text(tag, statistic->tag);
        fprintf(out, "%s  %-11s  %10llu  %10llu  %8llu  %11llu  %11llu", tag, pool_kind_name(statistic->kind),
                (unsigned long long)statistic->allocations, (unsigned long long)statistic->frees,
                (unsigned long long)(statistic->allocations - statistic->frees), (unsigned long long)statistic->bytes,
                (unsigned long long)statistic->peak_bytes);
        view_code(out, "  ", pool_caller(latest[statistic - pool()->statistics].origin), "\n");
    }
    free(latest);
}

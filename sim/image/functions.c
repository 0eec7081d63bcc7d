/*
 * Functions of images, from the .eh_frame sections that compilers write for x86-64 (System V ABI, LSB "Exception
 * Frames"): what a Windows image has its .pdata for.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#include "image/loader_internal.h"

/* DW_EH_PE encodings; what gcc, clang and the linkers write. */
#define ENCODING_SDATA4 0x0b
#define ENCODING_PCREL 0x10
#define ENCODING_DATAREL 0x30
#define ENCODING_UDATA4 0x03

struct frame_header {
    uint8_t version;
    uint8_t frame_encoding;
    uint8_t count_encoding;
    uint8_t table_encoding;
    int32_t frame;
    uint32_t count;
    struct {
        int32_t location; /* from the header */
        int32_t entry;
    } table[];
};

static int find_kernel(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct loader_module *kernel = argument;
    uintptr_t end = 0;

    (void)size;
    kernel->base = UINTPTR_MAX;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;

        if (header->p_type == PT_GNU_EH_FRAME)
            kernel->frame_header = (const void *)start;
        if (header->p_type != PT_LOAD)
            continue;
        if (start < kernel->base)
            kernel->base = start;
        if (start + header->p_memsz > end)
            end = start + header->p_memsz;
    }
    kernel->base &= ~(uintptr_t)(PAGE_SIZE - 1);
    kernel->size = ((end + PAGE_SIZE - 1) & ~(uintptr_t)(PAGE_SIZE - 1)) - kernel->base;
    return 1; /* the program itself comes first */
}

void image_find_kernel(void)
{
    struct loader_module *kernel = &machine->loader->kernel;

    (void)dl_iterate_phdr(find_kernel, kernel);
    strcpy(kernel->name, "ntoskrnl");
    kernel->path = image_strdup("/proc/self/exe");
}

void *loader_kernel_base(void)
{
    return (void *)machine->loader->kernel.base;
}

size_t loader_kernel_size(void)
{
    return machine->loader->kernel.size;
}

static bool contains(const struct loader_module *module, const void *address)
{
    return (uintptr_t)address - module->base < module->size;
}

struct loader_module *image_of(const void *address)
{
    for (struct loader_module *module = machine->loader->modules; module != NULL; module = module->next)
        if (contains(module, address))
            return module;
    return contains(&machine->loader->kernel, address) ? &machine->loader->kernel : NULL;
}

const char *loader_path_of_base(const void *base)
{
    const struct loader_module *module = image_of(base);

    return module != NULL && module->base == (uintptr_t)base ? module->path : NULL;
}

static uint32_t read32(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return value;
}

/* Bytes of code that a frame description entry covers; 0 where its pointers are not 32 bits from where they stand. */
static uint32_t code_bytes(const uint8_t *entry)
{
    const uint8_t *common = entry + 4 - (int32_t)read32(entry + 4);
    const uint8_t *augmentation = common + 9;
    const uint8_t *data = augmentation + strlen((const char *)augmentation) + 1;

    if (augmentation[0] != 'z')
        return 0;
    for (unsigned skip = 0; skip < 4; skip++) /* alignments, return register, length of the data */
        while ((*data++ & 0x80) != 0)
            ;
    for (augmentation++; *augmentation != 0 && *augmentation != 'R'; augmentation++)
        data += *augmentation == 'P' ? 5 : *augmentation == 'L' ? 1 : 0;
    return *augmentation == 'R' && *data == (ENCODING_PCREL | ENCODING_SDATA4) ? read32(entry + 12) : 0;
}

static void make_functions(struct loader_module *module)
{
    const struct frame_header *header = module->frame_header;
    struct image_functions *functions = &module->functions;

    functions->ready = true;
    if (header == NULL || header->version != 1 || header->table_encoding != (ENCODING_DATAREL | ENCODING_SDATA4) ||
        header->count_encoding != ENCODING_UDATA4)
        return;
    functions->list = image_alloc((header->count + 1) * sizeof(*functions->list));
    for (uint32_t i = 0; i < header->count; i++) {
        const uint8_t *entry = (const uint8_t *)(uintptr_t)header + header->table[i].entry;
        uintptr_t begin = (uintptr_t)header + (uintptr_t)(intptr_t)header->table[i].location - module->base;
        uint32_t bytes = code_bytes(entry);

        if (bytes == 0)
            continue;
        functions->list[functions->count++] = (RUNTIME_FUNCTION){
            .BeginAddress = (ULONG)begin,
            .EndAddress = (ULONG)(begin + bytes),
            .UnwindData = (ULONG)((uintptr_t)entry - module->base),
        };
    }
}

/* Whether the bytes before `end` are a call: direct, through a register or through memory at a 32-bit displacement. */
static bool is_behind_call(const uint8_t *end)
{
    return end[-5] == 0xE8 || (end[-2] == 0xFF && (end[-1] & 0xF8) == 0xD0) || (end[-6] == 0xFF && end[-5] == 0x15);
}

/*
 * A call that does not come back may be a function's last instruction, and then its return address lies behind the
 * function, where nothing or another one begins. Windows' compilers put an instruction behind such a call.
 */
static bool ends_here(const struct loader_module *module, const RUNTIME_FUNCTION *function, ULONG offset)
{
    return function->EndAddress == offset && offset - function->BeginAddress >= 6 &&
           is_behind_call((const uint8_t *)module->base + offset);
}

PRUNTIME_FUNCTION loader_function(const void *address, void **base)
{
    struct loader_module *module = image_of(address);
    unsigned low = 0, high;
    ULONG offset;

    if (module == NULL)
        return NULL;
    *base = (void *)module->base;
    if (!module->functions.ready)
        make_functions(module);
    offset = (ULONG)((uintptr_t)address - module->base);
    high = module->functions.count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        RUNTIME_FUNCTION *function = &module->functions.list[middle];

        if (offset < function->BeginAddress)
            high = middle;
        else if (offset >= function->EndAddress)
            low = middle + 1;
        else if (offset == function->BeginAddress && middle > 0 && ends_here(module, function - 1, offset))
            return function - 1;
        else
            return function;
    }
    return low > 0 && ends_here(module, &module->functions.list[low - 1], offset) ? &module->functions.list[low - 1]
                                                                                  : NULL;
}

void loader_aux_klib_initialised(const void *address)
{
    struct loader_module *module = image_of(address);

    if (module != NULL)
        module->aux_klib = true;
}

bool loader_aux_klib_is_initialised(const void *address)
{
    const struct loader_module *module = image_of(address);

    return module != NULL && module->aux_klib;
}

/* Symbols of one ELF file: from its .symtab and .dynsym, and if it is stripped, from the separate debug file that its
 * build id or debug link names, or the small table that some distributions put into .gnu_debugdata. A large file has
 * hundreds of thousands, and mostly one or two are asked for: so the first are looked for in the file as it is, and the table of
 * all, sorted, is only made when there are more to come. lines.c does the source lines. */
#include "symbols.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "symbols_internal.h"

static const Dwfl_Callbacks dwfl_callbacks = {
    .find_elf = dwfl_build_id_find_elf, /* never asked: the file is given */
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = NULL,
};

static bool read_headers(struct symbols *symbols)
{
    GElf_Ehdr header;
    size_t count;
    if (gelf_getehdr(symbols->elf, &header) == NULL || (header.e_type != ET_EXEC && header.e_type != ET_DYN) ||
        elf_getphdrnum(symbols->elf, &count) != 0)
        return false;
    symbols->is_64_bit = header.e_ident[EI_CLASS] == ELFCLASS64;
    symbols->machine = header.e_machine;
    symbols->segments = cli_alloc(count, sizeof *symbols->segments);
    bool loads = false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr *segment = &symbols->segments[symbols->segment_count];
        if (gelf_getphdr(symbols->elf, (int)i, segment) == NULL)
            return false;
        if (segment->p_type == PT_DYNAMIC)
            symbols->dynamic = segment->p_vaddr;
        if (segment->p_type == PT_LOAD) {
            symbols->segment_count++;
            if (!loads)
                symbols->start = segment->p_vaddr & ~(uint64_t)0xfff;
            loads = true;
        }
    }
    return loads;
}

static struct symbols *open_elf(int fd, Elf *elf, const char *path)
{
    struct symbols *symbols = cli_alloc(1, sizeof *symbols);
    symbols->fd = fd;
    symbols->elf = elf;
    symbols->path = cli_copy(path);
    if (elf != NULL && elf_kind(elf) == ELF_K_ELF && read_headers(symbols))
        return symbols;
    symbols_close(symbols);
    return NULL;
}

struct symbols *symbols_open(int fd, const char *path)
{
    elf_version(EV_CURRENT);
    return open_elf(fd, elf_begin(fd, ELF_C_READ_MMAP, NULL), path);
}

struct symbols *symbols_open_image(const void *image, size_t size)
{
    elf_version(EV_CURRENT);
    return open_elf(-1, elf_memory((char *)image, size), "[vdso]");
}

void symbols_close(struct symbols *symbols)
{
    if (symbols == NULL)
        return;
    if (symbols->dwfl != NULL)
        dwfl_end(symbols->dwfl);
    if (symbols->cfi != NULL)
        dwarf_cfi_end(symbols->cfi);
    elf_end(symbols->elf);
    if (symbols->fd >= 0)
        close(symbols->fd);
    free(symbols->segments);
    free(symbols->table);
    free(symbols->ends);
    free(symbols->units);
    free(symbols->path);
    free(symbols);
}

uint64_t symbols_start(const struct symbols *symbols)
{
    return symbols->start;
}

uint64_t symbols_dynamic(const struct symbols *symbols)
{
    return symbols->dynamic;
}

bool symbols_is_64_bit(const struct symbols *symbols)
{
    return symbols->is_64_bit;
}

/* The first entry of the dynamic section that is wanted. names: the section of its strings. */
static bool find_dynamic(struct symbols *symbols, bool (*is_wanted)(const GElf_Dyn *entry), GElf_Dyn *entry,
                         size_t *names)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    while ((section = elf_nextscn(symbols->elf, section)) != NULL) {
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_DYNAMIC)
            continue;
        *names = header.sh_link;
        Elf_Data *data = elf_getdata(section, NULL);
        for (int i = 0; data != NULL && gelf_getdyn(data, i, entry) != NULL && entry->d_tag != DT_NULL; i++)
            if (is_wanted(entry))
                return true;
    }
    return false;
}

static bool is_soname(const GElf_Dyn *entry)
{
    return entry->d_tag == DT_SONAME;
}

static bool is_symbolic(const GElf_Dyn *entry)
{
    return entry->d_tag == DT_SYMBOLIC || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_SYMBOLIC) != 0);
}

const char *symbols_soname(struct symbols *symbols)
{
    GElf_Dyn entry;
    size_t names;
    if (!find_dynamic(symbols, is_soname, &entry, &names))
        return NULL;
    return elf_strptr(symbols->elf, names, (size_t)entry.d_un.d_val);
}

static bool binds_itself(struct symbols *symbols)
{
    GElf_Dyn entry;
    size_t names;
    return find_dynamic(symbols, is_symbolic, &entry, &names);
}

bool symbols_find_exported(struct symbols *symbols, const char *name, uint64_t *address, bool *is_final)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    GElf_Sym symbol;
    while ((section = elf_nextscn(symbols->elf, section)) != NULL) {
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_DYNSYM)
            continue;
        Elf_Data *data = elf_getdata(section, NULL);
        for (int i = 1; data != NULL && gelf_getsym(data, i, &symbol) != NULL; i++) {
            const char *own = elf_strptr(symbols->elf, header.sh_link, symbol.st_name);
            if (symbol.st_shndx == SHN_UNDEF || symbol.st_value == 0 || GELF_ST_TYPE(symbol.st_info) != STT_OBJECT ||
                own == NULL || strcmp(own, name) != 0)
                continue;
            *address = symbol.st_value;
            *is_final = GELF_ST_VISIBILITY(symbol.st_other) != STV_DEFAULT || binds_itself(symbols);
            return true;
        }
    }
    return false;
}

bool symbols_is_code(const struct symbols *symbols, uint64_t address)
{
    for (size_t i = 0; i < symbols->segment_count; i++) {
        const GElf_Phdr *segment = &symbols->segments[i];
        if ((segment->p_flags & PF_X) && address >= segment->p_vaddr && address - segment->p_vaddr < segment->p_memsz)
            return true;
    }
    return false;
}

/* The separate debug file is libdwfl's to find. It opens the file once more, for it wants a descriptor of its own. */
Dwfl_Module *symbols_module(struct symbols *symbols)
{
    if (symbols->module != NULL || symbols->fd < 0 || symbols->module_failed)
        return symbols->module;
    symbols->module_failed = true;
    symbols->dwfl = dwfl_begin(&dwfl_callbacks);
    if (symbols->dwfl == NULL)
        return NULL;
    int fd = fcntl(symbols->fd, F_DUPFD_CLOEXEC, 3);
    dwfl_report_begin(symbols->dwfl);
    symbols->module = dwfl_report_elf(symbols->dwfl, cli_basename(symbols->path), symbols->path, fd, 0, true);
    if (symbols->module == NULL && fd >= 0)
        close(fd);
    dwfl_report_end(symbols->dwfl, NULL, NULL);
    GElf_Addr bias;
    if (symbols->module != NULL && dwfl_module_getelf(symbols->module, &bias) != NULL)
        symbols->dwfl_bias = bias;
    return symbols->module;
}

/* ---- Reading symbols ---- */

/* What is called for each symbol. */
typedef void (*take_symbol)(struct symbols *symbols, const struct symbol *symbol, void *arg);

struct reading {
    struct symbols *symbols;
    const char *name; /* only those whose name begins so; NULL: all */
    size_t name_length;
    take_symbol take;
    void *arg;
};

static void give(const struct reading *reading, const GElf_Sym *symbol, const char *name, uint64_t address)
{
    unsigned char type = GELF_ST_TYPE(symbol->st_info);
    if (name == NULL || *name == '\0' || *name == '$' || symbol->st_shndx == SHN_UNDEF || type == STT_SECTION ||
        type == STT_FILE || type == STT_TLS)
        return;
    if (type == STT_NOTYPE && !symbols_is_code(reading->symbols, address))
        return;
    /* a version's name, a constant */
    if (symbol->st_shndx == SHN_ABS && !symbols_is_code(reading->symbols, address))
        return;
    struct symbol found = {
        .name = name,
        .name_length = (unsigned)(strchrnul(name + 1, '@') - name),
        .type = type,
        .binding = GELF_ST_BIND(symbol->st_info),
        .address = address,
        .size = symbol->st_size,
    };
    reading->take(reading->symbols, &found, reading->arg);
}

static void read_section(const struct reading *reading, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(section, NULL);
    Elf_Data *strings = elf_getdata(elf_getscn(reading->symbols->elf, header->sh_link), NULL);
    if (data == NULL || header->sh_entsize == 0 || strings == NULL || strings->d_size == 0 ||
        ((const char *)strings->d_buf)[strings->d_size - 1] != '\0')
        return;
    size_t count = (size_t)(header->sh_size / header->sh_entsize);
    for (size_t i = 1; i < count; i++) {
        GElf_Sym symbol;
        if (gelf_getsym(data, (int)i, &symbol) == NULL)
            return;
        if (symbol.st_name >= strings->d_size)
            continue;
        const char *name = (const char *)strings->d_buf + symbol.st_name;
        if (reading->name == NULL || strncmp(name, reading->name, reading->name_length) == 0)
            give(reading, &symbol, name, symbol.st_value);
    }
}

static void read_own(const struct reading *reading)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    while ((section = elf_nextscn(reading->symbols->elf, section)) != NULL)
        if (gelf_getshdr(section, &header) != NULL && (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM))
            read_section(reading, section, &header);
}

static bool has_symtab(struct symbols *symbols)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    while ((section = elf_nextscn(symbols->elf, section)) != NULL)
        if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_SYMTAB)
            return true;
    return false;
}

static void read_debug(const struct reading *reading)
{
    struct symbols *symbols = reading->symbols;
    Dwfl_Module *module = symbols_module(symbols);
    int count = module == NULL ? -1 : dwfl_module_getsymtab(module);
    for (int i = 1; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        GElf_Word section;
        Elf *elf;
        const char *name = dwfl_module_getsym_info(module, i, &symbol, &address, &section, &elf, NULL);
        /* What came from the file itself has been read already. */
        if (name != NULL && elf != dwfl_module_getelf(module, &(GElf_Addr){0}) &&
            (reading->name == NULL || strncmp(name, reading->name, reading->name_length) == 0))
            give(reading, &symbol, name, address - symbols->dwfl_bias);
    }
}

/* ---- The table of all symbols ---- */

static void add(struct symbols *symbols, const struct symbol *symbol, void *arg)
{
    (void)arg;
    symbols->table = cli_grow(symbols->table, symbols->count, sizeof *symbols->table);
    symbols->table[symbols->count++] = *symbol;
}

static int by_address(const void *a, const void *b)
{
    const struct symbol *left = a, *right = b;
    return left->address < right->address ? -1 : left->address > right->address;
}

/* Sorts, and notes for each symbol where the furthest reaching one up to it ends: so a search knows when to give up. */
static void make_searchable(struct symbols *symbols)
{
    if (symbols->count > 0)
        qsort(symbols->table, symbols->count, sizeof *symbols->table, by_address);
    free(symbols->ends);
    symbols->ends = cli_alloc(symbols->count, sizeof *symbols->ends);
    uint64_t end = 0;
    for (size_t i = 0; i < symbols->count; i++) {
        uint64_t own = symbols->table[i].address + symbols->table[i].size;
        symbols->ends[i] = end = own > end ? own : end;
    }
}

static void load(struct symbols *symbols, enum symbols_depth depth)
{
    struct reading reading = {.symbols = symbols, .take = add};
    bool more = false;
    if (!symbols->own_loaded) {
        read_own(&reading);
        symbols->own_loaded = more = true;
    }
    if (depth == SYMBOLS_DEBUG && !symbols->debug_loaded) {
        symbols->debug_loaded = true;
        if (!has_symtab(symbols)) {
            read_debug(&reading);
            more = true;
        }
    }
    if (more)
        make_searchable(symbols);
}

/* ---- By name ---- */

struct search {
    const char *name;
    size_t length;
    struct symbol *matches; /* copies: a callback that asks more may have the table read anew */
    size_t count;
};

static void take_match(struct symbols *symbols, const struct symbol *symbol, void *arg)
{
    struct search *search = arg;
    (void)symbols;
    if (symbol->name_length != search->length || memcmp(symbol->name, search->name, search->length) != 0)
        return;
    search->matches = cli_grow(search->matches, search->count, sizeof *search->matches);
    search->matches[search->count++] = *symbol;
}

/* The first names are looked for in the file as it is. Whoever has many is better off with the table: it takes as
 * long to make as some searches without. */
static bool is_table_due(struct symbols *symbols, enum symbols_depth depth)
{
    return symbols->own_loaded && (depth == SYMBOLS_OWN || symbols->debug_loaded) ? true
                                                                                  : symbols->searches++ >= SCANS_MAX;
}

void symbols_find(struct symbols *symbols, const char *name, enum symbols_depth depth,
                  void (*found)(const struct symbol *symbol, void *arg), void *arg)
{
    struct search search = {.name = name, .length = strlen(name)};
    if (is_table_due(symbols, depth)) {
        load(symbols, depth);
        for (size_t i = 0; i < symbols->count; i++)
            take_match(symbols, &symbols->table[i], &search);
    } else {
        struct reading reading = {symbols, name, search.length, take_match, &search};
        read_own(&reading);
        if (depth == SYMBOLS_DEBUG && !has_symtab(symbols))
            read_debug(&reading);
        if (search.count > 0)
            qsort(search.matches, search.count, sizeof *search.matches, by_address);
    }
    for (size_t i = 0; i < search.count; i++)
        if (i == 0 || search.matches[i - 1].address != search.matches[i].address) /* in .symtab and in .dynsym */
            found(&search.matches[i], arg);
    free(search.matches);
}

void symbols_each(struct symbols *symbols, enum symbols_depth depth,
                  void (*found)(const struct symbol *symbol, void *arg), void *arg)
{
    load(symbols, depth);
    for (size_t i = 0; i < symbols->count; i++)
        if (symbols->table[i].type == STT_FUNC || symbols->table[i].type == STT_GNU_IFUNC)
            found(&symbols->table[i], arg);
}

/* Which of several names for one address to show: a function's rather than a label's, the one that a program would
 * call: read rather than __read or __GI___libc_read. */
static int rank(const struct symbol *symbol)
{
    int underscores = 0;
    while (underscores < 9 && (unsigned)underscores < symbol->name_length && symbol->name[underscores] == '_')
        underscores++;
    return (symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC ? 0 : 100) +
           (symbol->binding == STB_LOCAL ? 50 : 0) + 2 * underscores + (symbol->binding == STB_WEAK ? 1 : 0);
}

static bool is_better(const struct symbol *symbol, const struct symbol *than)
{
    if (than == NULL || symbol->address != than->address)
        return than == NULL || symbol->address > than->address;
    return rank(symbol) < rank(than);
}

static bool is_function(const struct symbol *symbol)
{
    return symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC || symbol->type == STT_NOTYPE;
}

/* One that is written in assembly, without a size, reaches up to the next symbol. */
static bool is_label(const struct symbols *symbols, const struct symbol *symbol)
{
    return is_function(symbol) && symbol->size == 0 && symbols_is_code(symbols, symbol->address);
}

static const struct symbol *look_up(const struct symbols *symbols, uint64_t address)
{
    size_t low = 0, high = symbols->count; /* the first symbol behind address */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->table[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    const struct symbol *best = NULL, *label = NULL;
    for (size_t i = low; i-- > 0;) {
        const struct symbol *symbol = &symbols->table[i];
        if (best != NULL && symbol->address != best->address)
            break;
        if (!is_function(symbol))
            continue;
        if (symbol->size > 0 && address - symbol->address < symbol->size) {
            if (is_better(symbol, best))
                best = symbol;
        } else if (i + 1 == low && is_label(symbols, symbol)) {
            label = symbol;
        }
        if (best == NULL && symbols->ends[i] <= address)
            break;
    }
    return best != NULL ? best : label;
}

/* The same without the table. */
struct scan {
    uint64_t address;
    struct symbol best, last; /* name NULL: none yet */
};

static void take_near(struct symbols *symbols, const struct symbol *symbol, void *arg)
{
    struct scan *scan = arg;
    (void)symbols;
    if (symbol->address > scan->address)
        return;
    if (scan->last.name == NULL || is_better(symbol, &scan->last))
        scan->last = *symbol;
    if (is_function(symbol) && scan->address - symbol->address < symbol->size &&
        is_better(symbol, scan->best.name == NULL ? NULL : &scan->best))
        scan->best = *symbol;
}

static const struct symbol *scan_for(struct symbols *symbols, uint64_t address)
{
    struct scanned *scanned = symbols->scanned;
    size_t i = 0;
    while (i < symbols->scanned_count && scanned[i].address != address)
        i++;
    if (i == symbols->scanned_count) {
        struct scan scan = {.address = address};
        struct reading reading = {.symbols = symbols, .take = take_near, .arg = &scan};
        read_own(&reading);
        if (scan.best.name == NULL && scan.last.name != NULL && is_label(symbols, &scan.last))
            scan.best = scan.last;
        scanned[i] = (struct scanned){address, scan.best};
        symbols->scanned_count++;
    }
    return scanned[i].symbol.name == NULL ? NULL : &scanned[i].symbol;
}

const struct symbol *symbols_at(struct symbols *symbols, uint64_t address)
{
    if (!symbols->own_loaded && symbols->scanned_count < SCANS_MAX && has_symtab(symbols))
        return scan_for(symbols, address);
    load(symbols, SYMBOLS_DEBUG);
    return look_up(symbols, address);
}

/* Relocations by processor: what the dynamic linker fills a slot with. */
static const struct {
    unsigned machine, irelative, glob_dat, jump_slot;
} relocations[] = {
    {EM_X86_64, R_X86_64_IRELATIVE, R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT},
    {EM_386, R_386_IRELATIVE, R_386_GLOB_DAT, R_386_JMP_SLOT},
    {EM_AARCH64, R_AARCH64_IRELATIVE, R_AARCH64_GLOB_DAT, R_AARCH64_JUMP_SLOT},
};

static bool is_slot_of(struct symbols *symbols, size_t kind, const GElf_Rela *relocation, Elf_Data *symbol_data,
                       uint64_t resolver)
{
    unsigned type = (unsigned)GELF_R_TYPE(relocation->r_info);
    if (!symbols->is_64_bit)
        type &= 0xff;
    if (type == relocations[kind].irelative)
        return (uint64_t)relocation->r_addend == resolver;
    if (type != relocations[kind].glob_dat && type != relocations[kind].jump_slot)
        return false;
    GElf_Sym symbol;
    return symbol_data != NULL && gelf_getsym(symbol_data, (int)GELF_R_SYM(relocation->r_info), &symbol) != NULL &&
           symbol.st_shndx != SHN_UNDEF && GELF_ST_TYPE(symbol.st_info) == STT_GNU_IFUNC && symbol.st_value == resolver;
}

void symbols_ifunc_slots(struct symbols *symbols, uint64_t resolver, void (*found)(uint64_t slot, void *arg), void *arg)
{
    size_t kind = 0, kinds = sizeof relocations / sizeof relocations[0];
    while (kind < kinds && relocations[kind].machine != symbols->machine)
        kind++;
    Elf_Scn *section = NULL;
    while (kind < kinds && (section = elf_nextscn(symbols->elf, section)) != NULL) {
        GElf_Shdr header, linked;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_RELA || header.sh_entsize == 0)
            continue;
        Elf_Data *data = elf_getdata(section, NULL), *symbol_data = NULL;
        Elf_Scn *symbol_section = elf_getscn(symbols->elf, header.sh_link);
        if (header.sh_link != 0 && gelf_getshdr(symbol_section, &linked) != NULL && linked.sh_type == SHT_DYNSYM)
            symbol_data = elf_getdata(symbol_section, NULL);
        for (size_t i = 0; data != NULL && i < header.sh_size / header.sh_entsize; i++) {
            GElf_Rela relocation;
            if (gelf_getrela(data, (int)i, &relocation) != NULL &&
                is_slot_of(symbols, kind, &relocation, symbol_data, resolver))
                found(relocation.r_offset, arg);
        }
    }
}

uint64_t symbols_initial_word(const struct symbols *symbols, uint64_t address)
{
    size_t size = symbols->is_64_bit ? 8 : 4;
    for (size_t i = 0; i < symbols->segment_count; i++) {
        const GElf_Phdr *segment = &symbols->segments[i];
        uint64_t value = 0;
        if (address < segment->p_vaddr || address - segment->p_vaddr + size > segment->p_filesz)
            continue;
        Elf_Data *data = elf_getdata_rawchunk(symbols->elf, (int64_t)(segment->p_offset + (address - segment->p_vaddr)),
                                              size, ELF_T_BYTE);
        if (data != NULL)
            memcpy(&value, data->d_buf, size);
        return value;
    }
    return 0;
}

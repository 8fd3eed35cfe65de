/* Target descriptions: which registers a client is told of, in gdb's standard features (gdb's manual, "Standard Target
 * Features"), and which bytes of which of rein's registers each is. Features, order, numbers and types are the ones that
 * gdbserver 13 has on Linux; clients know some of them by their numbers.
 *
 * An architecture is a table of features, a feature a table of rows, a row one register or many that are alike. From that the
 * document is written, and the places, whose index is the register's number. A feature that there may be or not has a probe:
 * a register of rein's that is present if the feature is. That is a matter of the processor, so a target is made once for each
 * architecture; but arm64's vectors (SVE) have a length that each process may choose, and there is one target for each length.
 * (The tiles of AMX are in no feature that clients know, and are left out.) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "server.h"

/* lldb has to be told of types that it does not know; to gdb these attributes are nothing. */
#define LLDB_VECTOR " encoding=\"vector\" format=\"vector-uint8\""
/* And lldb's users call this rflags. */
#define LLDB_FLAGS " altname=\"rflags\""

/* Names with a space between them. A # in a name stands for a number: count registers, from the first on. */
struct row {
    const char *names;
    int first, count;
    const char *source;  /* rein's name, if it is another */
    size_t offset, size; /* which of its bytes; scaled: of how many for 16 bytes of a vector */
    const char *type, *attributes;
    bool scaled;
    const char *probe; /* as a feature's */
};
enum condition { ALWAYS, WITH_SCALED_VECTORS, WITHOUT_SCALED_VECTORS, WITH_MEMORY_TAGS };
struct feature {
    const char *name;
    const char *probe; /* NULL: it is always there */
    const char *types; /* in XML */
    const struct row *rows;
    enum condition when;
    void (*add_types)(struct reply *xml,
                      size_t vector); /* more of them, which depend on the length of vectors; NULL: none */
};
#define FEATURE(its_name, its_probe, its_types, its_rows)                                                              \
    .name = (its_name), .probe = (its_probe), .types = its_types, .rows = (its_rows)
struct description {
    const char *architecture, *xml_name;
    const char *pc, *sp, *fp;
    const struct feature *features;
};

#define BITS(name, low, high) "<field name=\"" name "\" start=\"" #low "\" end=\"" #high "\"/>"
#define BIT(name, at) BITS(name, at, at)
#define FLAGS(id, bits) "<flags id=\"" id "\" size=\"4\">" bits "</flags>"
#define VECTOR(id, type, count) "<vector id=\"" id "\" type=\"" type "\" count=\"" #count "\"/>"
#define FIELD(name, type) "<field name=\"" name "\" type=\"" type "\"/>"
#define UNION(id, fields) "<union id=\"" id "\">" fields "</union>"

/* ---- x86 ---- */

#define EFLAGS                                                                                                         \
    FLAGS("i386_eflags", BIT("CF", 0) BIT("", 1) BIT("PF", 2) BIT("AF", 4) BIT("ZF", 6) BIT("SF", 7) BIT("TF", 8)      \
                             BIT("IF", 9) BIT("DF", 10) BIT("OF", 11) BIT("NT", 14) BIT("RF", 16) BIT("VM", 17)        \
                                 BIT("AC", 18) BIT("VIF", 19) BIT("VIP", 20) BIT("ID", 21))
#define MXCSR                                                                                                          \
    FLAGS("i386_mxcsr",                                                                                                \
          BIT("IE", 0) BIT("DE", 1) BIT("ZE", 2) BIT("OE", 3) BIT("UE", 4) BIT("PE", 5) BIT("DAZ", 6) BIT("IM", 7)     \
              BIT("DM", 8) BIT("ZM", 9) BIT("OM", 10) BIT("UM", 11) BIT("PM", 12) BIT("FZ", 15))
#define VEC128                                                                                                         \
    VECTOR("v8bf16", "bfloat16", 8)                                                                                    \
    VECTOR("v8h", "ieee_half", 8)                                                                                      \
    VECTOR("v4f", "ieee_single", 4)                                                                                    \
    VECTOR("v2d", "ieee_double", 2)                                                                                    \
    VECTOR("v16i8", "int8", 16)                                                                                        \
    VECTOR("v8i16", "int16", 8)                                                                                        \
    VECTOR("v4i32", "int32", 4)                                                                                        \
    VECTOR("v2i64", "int64", 2)                                                                                        \
    UNION("vec128", FIELD("v8_bfloat16", "v8bf16") FIELD("v8_half", "v8h") FIELD("v4_float", "v4f")                    \
                        FIELD("v2_double", "v2d") FIELD("v16_int8", "v16i8") FIELD("v8_int16", "v8i16")                \
                            FIELD("v4_int32", "v4i32") FIELD("v2_int64", "v2i64") FIELD("uint128", "uint128"))
#define V2UI128 VECTOR("v2ui128", "uint128", 2)

#define X86_COMMON                                                                                                     \
    {.names = "eflags", .size = 4, .type = "i386_eflags", .attributes = LLDB_FLAGS},                                   \
        {.names = "cs ss ds es fs gs", .size = 4, .type = "int32"},                                                    \
        {.names = "st#", .count = 8, .size = 10, .type = "i387_ext"},                                                  \
    {                                                                                                                  \
        .names = "fctrl fstat ftag fiseg fioff foseg fooff fop", .size = 4, .type = "int",                             \
        .attributes = " group=\"float\""                                                                               \
    }
#define X86_MXCSR                                                                                                      \
    {                                                                                                                  \
        .names = "mxcsr", .size = 4, .type = "i386_mxcsr", .attributes = " group=\"vector\""                           \
    }
#define X86_MASKS                                                                                                      \
    {                                                                                                                  \
        .names = "k#", .count = 8, .size = 8, .type = "uint64"                                                         \
    }

static const struct row amd64_core[] = {
    {.names = "rax rbx rcx rdx rsi rdi", .size = 8, .type = "int64"},
    {.names = "rbp rsp", .size = 8, .type = "data_ptr"},
    {.names = "r#", .first = 8, .count = 8, .size = 8, .type = "int64"},
    {.names = "rip", .size = 8, .type = "code_ptr"},
    X86_COMMON,
    {0},
};
static const struct row amd64_sse[] = {
    {.names = "xmm#", .count = 16, .size = 16, .type = "vec128"},
    X86_MXCSR,
    {0},
};
static const struct row amd64_linux[] = {{.names = "orig_rax", .size = 8, .type = "int"}, {0}};
static const struct row amd64_segments[] = {{.names = "fs_base gs_base", .size = 8, .type = "int"}, {0}};
static const struct row amd64_avx[] = {
    {.names = "ymm#h", .count = 16, .source = "ymm#", .offset = 16, .size = 16, .type = "uint128"},
    {0},
};
static const struct row amd64_avx512[] = {
    {.names = "xmm#", .first = 16, .count = 16, .size = 16, .type = "vec128"},
    {.names = "ymm#h", .first = 16, .count = 16, .source = "ymm#", .offset = 16, .size = 16, .type = "uint128"},
    X86_MASKS,
    {.names = "zmm#h",
     .count = 32,
     .source = "zmm#",
     .offset = 32,
     .size = 32,
     .type = "v2ui128",
     .attributes = LLDB_VECTOR},
    {0},
};
static const struct row i386_core[] = {
    {.names = "eax ecx edx ebx", .size = 4, .type = "int32"},
    {.names = "esp ebp", .size = 4, .type = "data_ptr"},
    {.names = "esi edi", .size = 4, .type = "int32"},
    {.names = "eip", .size = 4, .type = "code_ptr"},
    X86_COMMON,
    {0},
};
static const struct row i386_sse[] = {
    {.names = "xmm#", .count = 8, .size = 16, .type = "vec128"},
    X86_MXCSR,
    {0},
};
static const struct row i386_linux[] = {{.names = "orig_eax", .size = 4, .type = "int"}, {0}};
static const struct row i386_avx[] = {
    {.names = "ymm#h", .count = 8, .source = "ymm#", .offset = 16, .size = 16, .type = "uint128"},
    {0},
};
static const struct row i386_avx512[] = {
    X86_MASKS,
    {.names = "zmm#h",
     .count = 8,
     .source = "zmm#",
     .offset = 32,
     .size = 32,
     .type = "v2ui128",
     .attributes = LLDB_VECTOR},
    {0},
};
static const struct row x86_pkeys[] = {{.names = "pkru", .size = 4, .type = "uint32"}, {0}};

static const struct feature amd64_features[] = {
    {FEATURE("org.gnu.gdb.i386.core", NULL, EFLAGS, amd64_core)},
    {FEATURE("org.gnu.gdb.i386.sse", NULL, VEC128 MXCSR, amd64_sse)},
    {FEATURE("org.gnu.gdb.i386.linux", NULL, "", amd64_linux)},
    {FEATURE("org.gnu.gdb.i386.segments", NULL, "", amd64_segments)},
    {FEATURE("org.gnu.gdb.i386.avx", "ymm0", "", amd64_avx)},
    {FEATURE("org.gnu.gdb.i386.avx512", "k0", VEC128 V2UI128, amd64_avx512)},
    {FEATURE("org.gnu.gdb.i386.pkeys", "pkru", "", x86_pkeys)},
    {0},
};
static const struct feature i386_features[] = {
    {FEATURE("org.gnu.gdb.i386.core", NULL, EFLAGS, i386_core)},
    {FEATURE("org.gnu.gdb.i386.sse", "xmm0", VEC128 MXCSR, i386_sse)},
    {FEATURE("org.gnu.gdb.i386.linux", NULL, "", i386_linux)},
    {FEATURE("org.gnu.gdb.i386.avx", "ymm0", "", i386_avx)},
    {FEATURE("org.gnu.gdb.i386.avx512", "k0", V2UI128, i386_avx512)},
    {FEATURE("org.gnu.gdb.i386.pkeys", "pkru", "", x86_pkeys)},
    {0},
};

/* ---- arm64 ---- */

#define CPSR                                                                                                           \
    FLAGS("cpsr_flags",                                                                                                \
          BIT("SP", 0) BITS("EL", 2, 3) BIT("nRW", 4) BIT("F", 6) BIT("I", 7) BIT("A", 8) BIT("D", 9)                  \
              BITS("BTYPE", 10, 11) BIT("SSBS", 12) BIT("IL", 20) BIT("SS", 21) BIT("PAN", 22) BIT("UAO", 23)          \
                  BIT("DIT", 24) BIT("TCO", 25) BIT("V", 28) BIT("C", 29) BIT("Z", 30) BIT("N", 31))
#define FPSR                                                                                                           \
    FLAGS("fpsr_flags", BIT("IOC", 0) BIT("DZC", 1) BIT("OFC", 2) BIT("UFC", 3) BIT("IXC", 4) BIT("IDC", 7)            \
                            BIT("QC", 27) BIT("V", 28) BIT("C", 29) BIT("Z", 30) BIT("N", 31))
#define FPCR                                                                                                           \
    FLAGS("fpcr_flags",                                                                                                \
          BIT("FIZ", 0) BIT("AH", 1) BIT("NEP", 2) BIT("IOE", 8) BIT("DZE", 9) BIT("OFE", 10) BIT("UFE", 11)           \
              BIT("IXE", 12) BIT("EBF", 13) BIT("IDE", 15) BITS("Len", 16, 18) BIT("FZ16", 19) BITS("Stride", 20, 21)  \
                  BITS("RMode", 22, 23) BIT("FZ", 24) BIT("DN", 25) BIT("AHP", 26))
#define AARCH64V                                                                                                       \
    VECTOR("v2d", "ieee_double", 2)                                                                                    \
    VECTOR("v2u", "uint64", 2)                                                                                         \
    VECTOR("v2i", "int64", 2)                                                                                          \
    VECTOR("v4f", "ieee_single", 4)                                                                                    \
    VECTOR("v4u", "uint32", 4)                                                                                         \
    VECTOR("v4i", "int32", 4)                                                                                          \
    VECTOR("v8f", "ieee_half", 8)                                                                                      \
    VECTOR("v8u", "uint16", 8)                                                                                         \
    VECTOR("v8i", "int16", 8)                                                                                          \
    VECTOR("v8bf16", "bfloat16", 8)                                                                                    \
    VECTOR("v16u", "uint8", 16)                                                                                        \
    VECTOR("v16i", "int8", 16)                                                                                         \
    VECTOR("v1u", "uint128", 1)                                                                                        \
    VECTOR("v1i", "int128", 1)                                                                                         \
    UNION("vnd", FIELD("f", "v2d") FIELD("u", "v2u") FIELD("s", "v2i"))                                                \
    UNION("vns", FIELD("f", "v4f") FIELD("u", "v4u") FIELD("s", "v4i"))                                                \
    UNION("vnh", FIELD("bf", "v8bf16") FIELD("f", "v8f") FIELD("u", "v8u") FIELD("s", "v8i"))                          \
    UNION("vnb", FIELD("u", "v16u") FIELD("s", "v16i"))                                                                \
    UNION("vnq", FIELD("u", "v1u") FIELD("s", "v1i"))                                                                  \
    UNION("aarch64v", FIELD("d", "vnd") FIELD("s", "vns") FIELD("h", "vnh") FIELD("b", "vnb") FIELD("q", "vnq"))

static const struct row arm64_core[] = {
    {.names = "x#", .count = 31, .size = 8, .type = "int"},
    {.names = "sp", .size = 8, .type = "data_ptr"},
    {.names = "pc", .size = 8, .type = "code_ptr"},
    {.names = "cpsr", .source = "pstate", .size = 4, .type = "cpsr_flags"},
    {0},
};
static const struct row arm64_fpu[] = {
    {.names = "v#", .count = 32, .size = 16, .type = "aarch64v"},
    {.names = "fpsr", .size = 4, .type = "fpsr_flags"},
    {.names = "fpcr", .size = 4, .type = "fpcr_flags"},
    {0},
};
static const struct row arm64_sve[] = {
    {.names = "z#", .count = 32, .size = 16, .scaled = true, .type = "svev"},
    {.names = "fpsr", .size = 4, .type = "fpsr_flags"},
    {.names = "fpcr", .size = 4, .type = "fpcr_flags"},
    {.names = "p#", .count = 16, .size = 2, .scaled = true, .type = "svep"},
    {.names = "ffr", .size = 2, .scaled = true, .type = "svep"},
    {.names = "vg", .size = 8, .type = "int"},
    {0},
};

/* gdbserver's types of vectors and predicates, of that many bytes. */
static void add_vector_types(struct reply *xml, size_t vector)
{
    static const struct {
        const char *id, *type;
        size_t size;
    } lanes[] = {
        {"svevqu", "uint128", 16},  {"svevqs", "int128", 16},     {"svevdf", "ieee_double", 8}, {"svevdu", "uint64", 8},
        {"svevds", "int64", 8},     {"svevsf", "ieee_single", 4}, {"svevsu", "uint32", 4},      {"svevss", "int32", 4},
        {"svevhf", "ieee_half", 2}, {"svevhu", "uint16", 2},      {"svevhs", "int16", 2},       {"svevbu", "uint8", 1},
        {"svevbs", "int8", 1},
    };
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++)
        reply_format(xml, "<vector id=\"%s\" type=\"%s\" count=\"%zu\"/>", lanes[i].id, lanes[i].type,
                     vector / lanes[i].size);
    reply_text(xml, UNION("svevnq", FIELD("u", "svevqu") FIELD("s", "svevqs"))
                        UNION("svevnd", FIELD("f", "svevdf") FIELD("u", "svevdu") FIELD("s", "svevds"))
                            UNION("svevns", FIELD("f", "svevsf") FIELD("u", "svevsu") FIELD("s", "svevss"))
                                UNION("svevnh", FIELD("f", "svevhf") FIELD("u", "svevhu") FIELD("s", "svevhs"))
                                    UNION("svevnb", FIELD("u", "svevbu") FIELD("s", "svevbs"))
                                        UNION("svev", FIELD("q", "svevnq") FIELD("d", "svevnd") FIELD("s", "svevns")
                                                          FIELD("h", "svevnh") FIELD("b", "svevnb")));
    reply_format(xml, "<vector id=\"svep\" type=\"uint8\" count=\"%zu\"/>" FPSR FPCR, vector / 8);
}

static const struct row arm64_pauth[] = {{.names = "pauth_dmask pauth_cmask", .size = 8, .type = "int"}, {0}};
static const struct row arm64_mte[] = {
    {.names = "tag_ctl", .size = 8, .type = "uint64", .attributes = " group=\"system\" save-restore=\"no\""},
    {0},
};
static const struct row arm64_tls[] = {
    {.names = "tpidr", .size = 8, .type = "data_ptr"},
    {.names = "tpidr2", .size = 8, .type = "data_ptr", .probe = "tpidr2"},
    {0},
};

static const struct feature arm64_features[] = {
    {FEATURE("org.gnu.gdb.aarch64.core", NULL, CPSR, arm64_core)},
    {FEATURE("org.gnu.gdb.aarch64.fpu", NULL, AARCH64V FPSR FPCR, arm64_fpu), .when = WITHOUT_SCALED_VECTORS},
    {FEATURE("org.gnu.gdb.aarch64.sve", "z0", "", arm64_sve), .when = WITH_SCALED_VECTORS,
     .add_types = add_vector_types},
    {FEATURE("org.gnu.gdb.aarch64.pauth", "pauth_dmask", "", arm64_pauth)},
    {FEATURE("org.gnu.gdb.aarch64.mte", "tag_ctl", "", arm64_mte), .when = WITH_MEMORY_TAGS},
    {FEATURE("org.gnu.gdb.aarch64.tls", "tpidr", "", arm64_tls)},
    {0},
};

static const struct description descriptions[] = {
    {"amd64", "i386:x86-64", "rip", "rsp", "rbp", amd64_features},
    {"i386", "i386", "eip", "esp", "ebp", i386_features},
    {"arm64", "aarch64", "pc", "sp", "x29", arm64_features},
};
enum {
    DESCRIPTIONS = sizeof descriptions / sizeof *descriptions,
    PLACES_MAX = 256,
    NAMES_MAX = 4096,
    EXPEDITED_MAX = 4,
    LANE = 16, /* bytes of a vector that is not longer than others */
};

/* ---- Making one ---- */

struct made {
    struct made *next;
    struct target target;
    struct register_place places[PLACES_MAX];
    int expedited[EXPEDITED_MAX + 1];
    struct reply xml;
    char names[NAMES_MAX]; /* of the places, one behind the other */
    size_t names_used;
    bool failed;
};

/* The name with a number for its #; kept as long as the target. */
static const char *keep_name(struct made *made, const char *name, size_t length, int number)
{
    char *to = made->names + made->names_used;
    size_t room = sizeof made->names - made->names_used;
    const char *mark = memchr(name, '#', length);
    int before = mark ? (int)(mark - name) : (int)length;
    int used = mark ? snprintf(to, room, "%.*s%d%.*s", before, name, number, (int)length - before - 1, mark + 1)
                    : snprintf(to, room, "%.*s", before, name);
    if (used < 0 || (size_t)used >= room) {
        made->failed = true;
        return "";
    }
    made->names_used += (size_t)used + 1;
    return to;
}

static void add_register(struct made *made, rein_registers *registers, const struct row *row, const char *name,
                         size_t length, int number, bool optional)
{
    if (made->target.count == PLACES_MAX) {
        made->failed = true;
        return;
    }
    struct register_place *place = &made->places[made->target.count];
    place->name = keep_name(made, name, length, number);
    place->source = row->source ? keep_name(made, row->source, strlen(row->source), number) : place->name;
    place->index = rein_registers_index(registers, place->source);
    place->offset = row->offset;
    place->size = row->scaled ? row->size * (made->target.vector / LANE) : row->size;
    place->optional = optional;
    reply_format(&made->xml, "<reg name=\"%s\" bitsize=\"%zu\" type=\"%s\" regnum=\"%zu\"%s/>\n", place->name,
                 8 * place->size, row->type, made->target.count, row->attributes ? row->attributes : "");
    made->target.count++;
}

static void add_row(struct made *made, rein_registers *registers, const struct row *row, bool optional)
{
    for (const char *name = row->names; *name; name += strspn(name, " ")) {
        size_t length = strcspn(name, " ");
        int end = row->count ? row->first + row->count : row->first + 1;
        for (int number = row->first; number < end; number++)
            add_register(made, registers, row, name, length, number, optional);
        name += length;
    }
}

static bool is_present(rein_registers *registers, const char *name)
{
    bool present = false;
    int index = rein_registers_index(registers, name);
    return index >= 0 && rein_registers_present(registers, index, &present) == 0 && present;
}

static int number_of(const struct made *made, const char *name)
{
    for (size_t i = 0; i < made->target.count; i++)
        if (strcmp(made->places[i].name, name) == 0)
            return (int)i;
    return 0;
}

/* Whether there are memory tags the registers do not tell: tag_ctl is there with tagged addresses alone. */
static bool has_memory_tags(void)
{
    enum { MEMORY_TAGS = 1 << 18 }; /* HWCAP2_MTE of arm64 */
    return (getauxval(AT_HWCAP2) & MEMORY_TAGS) != 0;
}

static bool is_wanted(const struct made *made, rein_registers *registers, const struct feature *feature)
{
    if (feature->probe && !is_present(registers, feature->probe))
        return false;
    switch (feature->when) {
    case WITH_SCALED_VECTORS:
        return made->target.vector != 0;
    case WITHOUT_SCALED_VECTORS:
        return made->target.vector == 0;
    case WITH_MEMORY_TAGS:
        return has_memory_tags();
    case ALWAYS:
        break;
    }
    return true;
}

/* One element a line: gdb keeps the document in trace files, which have no long ones. */
static void write_types(struct reply *xml, const char *types)
{
    for (const char *end; *types; types = end) {
        end = strstr(types, "><");
        end = end ? end + 1 : types + strlen(types);
        reply_bytes(xml, types, (size_t)(end - types));
        reply_text(xml, "\n");
    }
}

static void add_feature(struct made *made, rein_registers *registers, const struct feature *feature)
{
    reply_format(&made->xml, "<feature name=\"%s\">\n", feature->name);
    write_types(&made->xml, feature->types);
    if (feature->add_types)
        feature->add_types(&made->xml, made->target.vector);
    for (const struct row *row = feature->rows; row->names; row++)
        if (!row->probe || is_present(registers, row->probe))
            add_row(made, registers, row, feature->probe != NULL);
    reply_text(&made->xml, "</feature>\n");
}

static bool make(struct made *made, rein_registers *registers, const struct description *description)
{
    reply_format(&made->xml,
                 "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
                 "<architecture>%s</architecture>\n<osabi>GNU/Linux</osabi>\n",
                 description->xml_name);
    for (const struct feature *feature = description->features; feature->name; feature++) {
        if (is_wanted(made, registers, feature))
            add_feature(made, registers, feature);
    }
    reply_text(&made->xml, "</target>\n");

    struct target *target = &made->target;
    target->architecture = description->architecture;
    target->places = made->places;
    target->xml = made->xml.text;
    target->pc = number_of(made, description->pc);
    target->sp = number_of(made, description->sp);
    target->fp = number_of(made, description->fp);
    int *expedited = made->expedited;
    *expedited++ = target->fp;
    *expedited++ = target->sp;
    *expedited++ = target->pc;
    if (target->vector) /* gdb looks at it first, for it says how long others are */
        *expedited++ = number_of(made, "vg");
    *expedited = -1;
    target->expedited = made->expedited;
    return !made->failed && !made->xml.failed;
}

static struct made *made_before;

/* vector: of how many bytes the vectors are that have their length from the thread; 0: no such ones are to be described. */
static const struct target *find_target(const char *architecture, rein_registers *registers, size_t vector)
{
    for (const struct made *made = made_before; made; made = made->next)
        if (made->target.vector == vector && strcmp(made->target.architecture, architecture) == 0)
            return &made->target;
    for (size_t i = 0; i < DESCRIPTIONS; i++) {
        if (strcmp(descriptions[i].architecture, architecture) != 0)
            continue;
        struct made *fresh = calloc(1, sizeof *fresh);
        if (fresh)
            fresh->target.vector = vector;
        if (!fresh || !make(fresh, registers, &descriptions[i])) {
            if (fresh)
                reply_free(&fresh->xml);
            free(fresh);
            return NULL;
        }
        fresh->next = made_before;
        made_before = fresh;
        return &fresh->target;
    }
    return NULL;
}

static size_t vector_size(rein_registers *registers)
{
    uint64_t granules = 0;
    size_t length;
    int index = rein_registers_index(registers, "vg");
    if (index < 0 || rein_registers_read(registers, index, &granules, sizeof granules, &length) != 0)
        return 0;
    return granules <= REGISTER_MAX / sizeof(uint64_t) ? (size_t)granules * sizeof(uint64_t) : 0;
}

/* An exec may have made it a process of another architecture. Any of its threads that is stopped will do: in a process that is
 * another's snapshot, as of a thread that has switched to 32-bit code, the features are the same. lldb is told of no vectors with a
 * length of the thread's, in which it would not find those that its calling convention names; nor is who reads no description.
 * (gdb 13 must be: it never comes out of a signal handler's frame that has such vectors if it does not know of them.) */
const struct target *inferior_target(struct server *server, struct inferior *inferior)
{
    const char *architecture = rein_process_architecture(inferior->process);
    bool scaled = server->features.xml && !server->features.lldb;
    if (inferior->target && strcmp(inferior->target->architecture, architecture) == 0 && inferior->is_scaled == scaled)
        return inferior->target;
    inferior->target = NULL;
    inferior->is_scaled = scaled;
    rein_thread **threads;
    size_t count;
    if (rein_process_threads(inferior->process, &threads, &count) != 0)
        return NULL;
    for (size_t i = 0; i < count && !inferior->target; i++) {
        rein_registers *registers = server_registers(server, threads[i]);
        if (registers)
            inferior->target = find_target(architecture, registers, scaled ? vector_size(registers) : 0);
    }
    rein_thread_list_free(threads, count);
    return inferior->target;
}

/* Values in words and in JSON, by their types. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "site_code.h"
#include "values.h"

enum { ELEMENTS_SHOWN = 50, DEEPEST_SHOWN = 8 };

struct view {
    const struct types *types;
    const struct reading *reading;
    const struct hit_value *value;
    struct modules *modules;
};

/* The string that a pointer at that offset points to; NULL: it cannot be read, or was not. */
static const char *string_at(const struct view *view, uint64_t offset)
{
    for (size_t i = 0; view->value->strings != NULL && i < view->reading->string_count; i++)
        if (view->reading->strings[i] == offset && view->value->strings[i * STRING_ROOM])
            return view->value->strings + i * STRING_ROOM + 1;
    return NULL;
}

/* The function that a pointer to functions points into. False: it is another pointer, or there is none. */
static bool function_at(const struct view *view, const struct type *type, uint64_t address, struct described *is)
{
    if (type->kind != TYPE_POINTER || type_target(view->types, type)->kind != TYPE_FUNCTION)
        return false;
    modules_describe(view->modules, address, is);
    return is->symbol != NULL;
}

static void put_function(FILE *file, const struct described *is)
{
    char *name = cli_format("%.*s", (int)is->symbol->name_length, is->symbol->name), *shown = cli_printable(name);
    fprintf(file, is->offset == 0 ? " <%s>" : " <%s+0x%" PRIx64 ">", shown, is->offset);
    free(name);
    free(shown);
}

/* How many bytes have been read from there on; how many characters an array there has of these. */
static size_t bytes_from(const struct view *view, uint64_t offset)
{
    return (size_t)(view->reading->size - offset);
}

static size_t text_limit(const struct view *view, const struct type *type, uint64_t offset)
{
    size_t left = bytes_from(view, offset);
    return type->count < left ? (size_t)type->count : left;
}

/* Of an array the zeros at the end are left out: with data behind the first of them it is no string, and shown whole. */
static size_t array_length(const char *text, size_t limit)
{
    while (limit > 0 && text[limit - 1] == '\0')
        limit--;
    return limit;
}

/* How much of it is shown: it is not cut within a character. */
static size_t shown_length(const char *text, size_t length)
{
    if (length <= STRING_SHOWN)
        return length;
    for (size_t back = 1; back <= 3; back++) {
        unsigned char c = (unsigned char)text[STRING_SHOWN - back];
        size_t whole = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        if (whole > back)
            return STRING_SHOWN - back;
        if ((c & 0xc0) != 0x80)
            break;
    }
    return STRING_SHOWN;
}

/* "abc", with what cannot be shown as \n or \x07; if there is more, then "...". */
static void put_string(FILE *file, const char *text, size_t length, bool more)
{
    size_t shown = shown_length(text, length);
    putc('"', file);
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c == '\n' || c == '\t')
            fprintf(file, "\\%c", c == '\n' ? 'n' : 't');
        else if (cli_printable_length(text + i, shown - i) == 0)
            fprintf(file, "\\x%02x", c);
        else
            for (size_t rest = cli_printable_length(text + i, shown - i); rest > 0; rest--)
                putc(text[rest > 1 ? i++ : i], file);
    }
    fputs(more || length > shown ? "\"..." : "\"", file);
}

/* A field of bits is moved to the beginning of a word of its own. */
static uint64_t bits_of(const unsigned char *bytes, size_t left, const struct member *member)
{
    uint64_t word = 0;
    unsigned char all[9] = {0};
    memcpy(all, bytes, left < sizeof all ? left : sizeof all);
    memcpy(&word, all, sizeof word);
    word >>= member->bit_offset;
    if (member->bit_offset > 0)
        word |= (uint64_t)all[8] << (64 - member->bit_offset);
    unsigned unused = 64 - member->bit_size;
    return member->type->is_signed ? (uint64_t)((int64_t)(word << unused) >> unused) : word << unused >> unused;
}

static uint64_t integer_of(const struct type *type, const unsigned char *bytes)
{
    uint64_t word = values_word(bytes, (size_t)type->size);
    unsigned unused = (unsigned)(64 - 8 * type->size);
    return type->is_signed ? (uint64_t)((int64_t)(word << unused) >> unused) : word;
}

static char *float_text(const struct type *type, const unsigned char *bytes)
{
    if (type->size == 4 || type->size == 8)
        return values_lane(values_lane_kind(type->size == 4 ? "float32" : "float64"), bytes);
    if (type->name != NULL && strcmp(type->name, "long double") == 0 && type->size >= 10)
        return values_float80(bytes);
    return values_hex(bytes, (size_t)type->size, false);
}

static bool is_text(const struct type *type)
{
    return type->kind == TYPE_ARRAY && type->target->is_char && type->target->size == 1;
}

/* Those whose name does not say that they are numbers: registers, and what comes of them. */
static bool is_raw(const struct type *type)
{
    return type->name == NULL && !type->is_signed;
}

static char *scalar_text(const struct type *type, const unsigned char *bytes)
{
    const uint64_t last_decimal = 0xfffff;
    if (type->size == 0 || type->size > 8)
        return values_hex(bytes, (size_t)type->size, type->kind == TYPE_OTHER);
    uint64_t value = integer_of(type, bytes);
    const char *name = type->kind == TYPE_ENUM ? type_enumerator(type, value) : NULL;
    if (name != NULL)
        return cli_copy(name);
    if (type->kind == TYPE_BOOL && value <= 1)
        return cli_copy(value ? "true" : "false");
    if (type->is_char && value >= ' ' && value < 0x7f)
        return cli_format("%" PRId64 " '%s%c'", (int64_t)value, value == '\'' || value == '\\' ? "\\" : "",
                          (char)value);
    if (type->kind == TYPE_OTHER || (is_raw(type) && value > last_decimal))
        return cli_format("0x%" PRIx64, value);
    return type->is_signed ? cli_format("%" PRId64, (int64_t)value) : cli_format("%" PRIu64, value);
}

/* Of a structure or an array it is enough that some of it was: that is shown. */
static bool is_some_read(const struct view *view, const struct type *type, uint64_t offset)
{
    bool has_parts = type->kind == TYPE_STRUCT || type->kind == TYPE_ARRAY;
    return offset <= view->reading->size &&
           (has_parts && type->size > 0 ? 1 : type->size) <= view->reading->size - offset;
}

static bool is_read(const struct view *view, const struct member *member, uint64_t offset)
{
    if (member->bit_size > 0)
        return offset < view->reading->size;
    return is_some_read(view, member->type, offset);
}

/* ---- In words ---- */

struct text_request {
    const struct view *view;
    FILE *file;
    uint64_t offset; /* of the structure */
    unsigned depth;
    bool any;
};

static void put_value(const struct view *view, FILE *file, const struct type *type, uint64_t offset, unsigned depth);

static bool put_member(const struct member *member, void *arg)
{
    struct text_request *request = arg;
    const struct view *view = request->view;
    uint64_t offset = request->offset + member->offset;
    if (member->is_static || member->is_virtual_base)
        return true;
    fputs(request->any ? ", " : "", request->file);
    request->any = true;
    if (member->is_base)
        fprintf(request->file, "<%s> = ", member->type->name == NULL ? "base" : member->type->name);
    else if (member->name != NULL)
        fprintf(request->file, "%s = ", member->name);
    if (!is_read(view, member, offset)) {
        fputs("...", request->file);
        return false;
    }
    if (member->bit_size > 0) {
        uint64_t value = bits_of(view->value->bytes + offset, bytes_from(view, offset), member);
        char *text = scalar_text(member->type, (unsigned char *)&value);
        fputs(text, request->file);
        free(text);
    } else {
        put_value(view, request->file, member->type, offset, request->depth + 1);
    }
    return true;
}

static void put_array_text(const struct view *view, FILE *file, const struct type *type, uint64_t offset)
{
    const char *text = (const char *)view->value->bytes + offset;
    size_t limit = text_limit(view, type, offset), length = array_length(text, limit);
    put_string(file, text, length, limit < type->count && memchr(text, '\0', limit) == NULL);
}

static void put_array(const struct view *view, FILE *file, const struct type *type, uint64_t offset, unsigned depth)
{
    const struct type *element = type_complete(view->types, type->target);
    putc('{', file);
    for (uint64_t i = 0; i < type->count; i++) {
        fputs(i > 0 ? ", " : "", file);
        if (i == ELEMENTS_SHOWN || element->size == 0 || !is_some_read(view, element, offset + i * element->size)) {
            fputs("...", file);
            break;
        }
        put_value(view, file, element, offset + i * element->size, depth + 1);
    }
    putc('}', file);
}

static void put_value(const struct view *view, FILE *file, const struct type *type, uint64_t offset, unsigned depth)
{
    const unsigned char *bytes = view->value->bytes + offset;
    struct described is;
    const char *string;
    char *text = NULL;
    if (depth > DEEPEST_SHOWN) {
        fputs("{...}", file);
        return;
    }
    switch (type->kind) {
    case TYPE_STRUCT: {
        struct text_request request = {view, file, offset, depth, false};
        putc('{', file);
        type_each_member(view->types, type, put_member, &request);
        putc('}', file);
        return;
    }
    case TYPE_ARRAY:
        if (is_text(type))
            put_array_text(view, file, type, offset);
        else
            put_array(view, file, type, offset, depth);
        return;
    case TYPE_POINTER:
    case TYPE_REFERENCE:
    case TYPE_FUNCTION:
        fprintf(file, "0x%" PRIx64, values_word(bytes, view->types->word));
        if (function_at(view, type, values_word(bytes, view->types->word), &is))
            put_function(file, &is);
        string = string_at(view, offset);
        if (string != NULL) {
            putc(' ', file);
            put_string(file, string, strnlen(string, STRING_SHOWN + 1), false);
        }
        return;
    case TYPE_FLOAT:
        text = float_text(type, bytes);
        break;
    default:
        text = scalar_text(type, bytes);
        break;
    }
    fputs(text, file);
    free(text);
}

static char *trouble_text(const struct hit_value *value)
{
    return strcmp(value->trouble, "memory cannot be read") == 0
               ? cli_format("memory at 0x%" PRIx64 " cannot be read", value->address)
               : cli_copy(value->trouble);
}

static struct view view_of(const struct hit_values *values, size_t i)
{
    return (struct view){&values->code->scene.types, &values->code->readings[i], &values->items[i],
                         values->code->scene.modules};
}

void hit_values_write(const struct hit_values *values, FILE *file)
{
    for (size_t i = 0; i < values->code->reading_count; i++) {
        struct view view = view_of(values, i);
        fprintf(file, "%s%s = ", i > 0 ? ", " : "", view.reading->text);
        if (view.value->trouble != NULL) {
            char *text = trouble_text(view.value);
            fprintf(file, "<%s>", text);
            free(text);
        } else {
            put_value(&view, file, view.reading->type, 0, 0);
        }
    }
}

/* ---- As JSON ---- */

struct json_request {
    const struct view *view;
    json_t *object;
    uint64_t offset;
    unsigned depth;
};

static json_t *value_json(const struct view *view, const struct type *type, uint64_t offset, unsigned depth);

static json_t *integer_json(const struct type *type, const unsigned char *bytes)
{
    char *text;
    json_t *json;
    uint64_t value = type->size > 0 && type->size <= 8 ? integer_of(type, bytes) : 0;
    if (type->kind == TYPE_BOOL && value <= 1)
        return json_boolean(value);
    if ((type->kind == TYPE_INTEGER || type->kind == TYPE_BOOL ||
         (type->kind == TYPE_ENUM && type_enumerator(type, value) == NULL)) &&
        type->size > 0 && type->size <= 8 && (type->is_signed || value <= INT64_MAX))
        return json_integer((int64_t)value);
    text = scalar_text(type, bytes);
    json = json_string(text);
    free(text);
    return json;
}

static json_t *string_json(const char *text, size_t length)
{
    return output_text(text, shown_length(text, length));
}

static bool member_json(const struct member *member, void *arg)
{
    struct json_request *request = arg;
    const struct view *view = request->view;
    uint64_t offset = request->offset + member->offset;
    if (member->is_static || member->is_virtual_base)
        return true;
    if (!is_read(view, member, offset))
        return false;
    json_t *value;
    if (member->bit_size > 0) {
        uint64_t bits = bits_of(view->value->bytes + offset, bytes_from(view, offset), member);
        value = integer_json(member->type, (unsigned char *)&bits);
    } else {
        value = value_json(view, member->type, offset, request->depth + 1);
    }
    if (member->name == NULL && !member->is_base &&
        json_is_object(value)) { /* nameless: its members are seen as this one's */
        json_object_update(request->object, value);
        json_decref(value);
        return true;
    }
    const char *name = member->is_base ? member->type->name : member->name;
    output_set_any(request->object, name == NULL ? "" : name, value);
    return true;
}

static json_t *array_json(const struct view *view, const struct type *type, uint64_t offset, unsigned depth)
{
    const struct type *element = type_complete(view->types, type->target);
    json_t *list = json_array();
    for (uint64_t i = 0; i < type->count && i < ELEMENTS_SHOWN && element->size > 0; i++) {
        if (!is_some_read(view, element, offset + i * element->size))
            break;
        json_array_append_new(list, value_json(view, element, offset + i * element->size, depth + 1));
    }
    return list;
}

static json_t *pointer_json(const struct view *view, const struct type *type, uint64_t offset)
{
    char text[24];
    struct described is;
    uint64_t address = values_word(view->value->bytes + offset, view->types->word);
    const char *string = string_at(view, offset);
    bool is_function = function_at(view, type, address, &is);
    snprintf(text, sizeof text, "0x%" PRIx64, address);
    if (string == NULL && !is_function)
        return json_string(text);
    json_t *object = json_object();
    json_object_set_new(object, "address", json_string(text));
    if (is_function)
        output_set_place(object, &is);
    else
        json_object_set_new(object, "text", string_json(string, strnlen(string, STRING_SHOWN + 1)));
    return object;
}

static json_t *float_json(const struct type *type, const unsigned char *bytes)
{
    char *text = float_text(type, bytes), *end;
    double value = strtod(text, &end);
    json_t *json = *end == '\0' && type->size <= 8 ? json_real(value) : NULL;
    if (json == NULL) /* infinite, or no number, or with more digits */
        json = json_string(text);
    free(text);
    return json;
}

static json_t *value_json(const struct view *view, const struct type *type, uint64_t offset, unsigned depth)
{
    const unsigned char *bytes = view->value->bytes + offset;
    if (depth > DEEPEST_SHOWN)
        return json_null();
    switch (type->kind) {
    case TYPE_STRUCT: {
        struct json_request request = {view, json_object(), offset, depth};
        type_each_member(view->types, type, member_json, &request);
        return request.object;
    }
    case TYPE_ARRAY:
        if (is_text(type))
            return string_json((const char *)bytes, array_length((const char *)bytes, text_limit(view, type, offset)));
        return array_json(view, type, offset, depth);
    case TYPE_POINTER:
    case TYPE_REFERENCE:
    case TYPE_FUNCTION:
        return pointer_json(view, type, offset);
    case TYPE_FLOAT:
        return float_json(type, bytes);
    default:
        return integer_json(type, bytes);
    }
}

json_t *hit_values_json(const struct hit_values *values)
{
    json_t *object = json_object();
    for (size_t i = 0; i < values->code->reading_count; i++) {
        struct view view = view_of(values, i);
        json_t *value;
        if (view.value->trouble != NULL) {
            char *text = trouble_text(view.value);
            value = json_object();
            json_object_set_new(value, "error", json_string(text));
            free(text);
        } else {
            value = value_json(&view, view.reading->type, 0, 0);
        }
        output_set_any(object, view.reading->text, value);
    }
    return object;
}

/* Room for moved instructions: the rest of the last page of a program's or library's text. The kernel maps whole pages, the text
 * ends somewhere in one, and what is behind it there, zeros with today's linkers, can be executed and belongs to nothing. It is as
 * near to the code as that is to its data, needs no call made in the process, and shows in no map. While a thread is in
 * the code, or in a copy of it, its file stays mapped.
 *
 * Code of no file, or of one whose text ends with its last page, has that of the program's loader, if it is near. The
 * loader is the only file that stays for certain: a program can take any other away while a thread is in a copy there.
 *
 * Where there is none a thread can map some (src/engine/map_room.c), in the nearest gap (linux_find_gap).
 *
 * Where the text ends is told by the program headers, which are in memory, too: the file's first page is mapped. Whatever
 * does not look as expected is taken for no room. */
#include "os/linux/linux.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { HEADERS_MAX = 64, ROOM_MIN = 32, ALIGNMENT = 16, PAGE_MAX = 65536 };

struct segment {
    uint32_t type, flags;
    uint64_t offset, address, file_size, size;
};

static bool read_headers(int id, uint64_t base, unsigned char *headers, size_t entry, size_t count, uint64_t offset)
{
    return linux_read_own(id, base + offset, headers, entry * count) == 0;
}

static void take_segment(const unsigned char *header, bool wide, struct segment *segment)
{
    if (wide) {
        Elf64_Phdr wide_header;
        memcpy(&wide_header, header, sizeof wide_header);
        *segment = (struct segment){wide_header.p_type,  wide_header.p_flags,  wide_header.p_offset,
                                    wide_header.p_vaddr, wide_header.p_filesz, wide_header.p_memsz};
    } else {
        Elf32_Phdr narrow;
        memcpy(&narrow, header, sizeof narrow);
        *segment = (struct segment){narrow.p_type,  narrow.p_flags,  narrow.p_offset,
                                    narrow.p_vaddr, narrow.p_filesz, narrow.p_memsz};
    }
}

/* The end of the text that has the address, of the file whose first page is at base; address 0: of any. 0: it is not as expected. */
static uint64_t end_of_text(int id, uint64_t base, uint64_t address)
{
    unsigned char headers[HEADERS_MAX * sizeof(Elf64_Phdr)];
    union {
        unsigned char ident[EI_NIDENT];
        Elf32_Ehdr narrow;
        Elf64_Ehdr wide;
    } file;
    uint64_t bias = 0, end = 0;
    bool known = false;

    if (linux_read_own(id, base, &file, sizeof file) != 0 || memcmp(file.ident, ELFMAG, SELFMAG) != 0)
        return 0;
    bool wide = file.ident[EI_CLASS] == ELFCLASS64;
    size_t count = wide ? file.wide.e_phnum : file.narrow.e_phnum;
    size_t entry = wide ? file.wide.e_phentsize : file.narrow.e_phentsize;
    uint64_t offset = wide ? file.wide.e_phoff : file.narrow.e_phoff;
    if (count > HEADERS_MAX || entry != (wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
        !read_headers(id, base, headers, entry, count, offset))
        return 0;
    for (size_t i = 0; i < count; i++) {
        struct segment segment;
        take_segment(headers + i * entry, wide, &segment);
        if (segment.type != PT_LOAD)
            continue;
        if (!known) { /* the first is that of the file's first page */
            known = true;
            bias = base - (segment.address - segment.offset);
            if (segment.offset >= PAGE_MAX)
                return 0;
        }
        uint64_t start = bias + segment.address;
        bool wanted = address == 0 || (address >= start && address - start < segment.size);
        if (wanted && segment.flags & PF_X && segment.file_size == segment.size)
            end = start + segment.size;
    }
    return end;
}

static int take_rest(uint64_t end, uint64_t map_end, uint64_t *start, uint64_t *size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t first = (end + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1), last = (end + page - 1) & ~(page - 1);

    if (end == 0 || last > map_end || last < first + ROOM_MIN)
        return 0;
    *start = first;
    *size = last - first;
    return 1;
}

int linux_find_room(int id, uint64_t address, uint64_t *start, uint64_t *size)
{
    uint64_t base = 0, map_end = 0, loader = 0;
    int result = linux_find_file_of(id, address, &base, &map_end);

    if (result < 0 || (result == 1 && take_rest(end_of_text(id, base, address), map_end, start, size) == 1))
        return result;
    result = linux_find_loader(id, &loader);
    if (result != 1)
        return result;
    uint64_t end = end_of_text(id, loader, 0);
    result = end != 0 ? linux_find_file_of(id, end - 1, &base, &map_end) : 0;
    return result == 1 && base == loader ? take_rest(end, map_end, start, size) : result < 0 ? result : 0;
}

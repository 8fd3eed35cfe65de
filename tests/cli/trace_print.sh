#!/usr/bin/env bash
# `rein trace -b LOCATION --print EXPR,...`: values by their types, as text and as JSON, and that expressions mean what they mean in
# C: hundreds of random ones against the compiler. Rows P2, P5, E1, X2.
set -euo pipefail
. "$(dirname "$0")/support.sh"
echo leak:libdw.so >suppressions # of libdw 0.188
export LSAN_OPTIONS=suppressions=$PWD/suppressions:print_suppressions=0
cc=${TRACEE_CC:-cc}
cxx=g++
! is_32_bit || cxx=${cc%gcc}g++

cat >program.c <<'C'
#include <stdio.h>
enum color { RED, GREEN = 5, NONE = -1 };
union both { long l; char c[8]; };
struct inner { short a, b; };
struct node {
    struct node *next;
    const char *label;
    char name[8];
    unsigned three : 3;
    int minus : 5;
    struct inner inner[2];
    union both both;
    enum color color;
    _Bool flag;
    float f;
    double d;
    unsigned char byte;
    struct { int x, y; };
};
static int numbers[100];
/* A control character that is none of ASCII; too long; half a pair; behind the last; the last. */
static const char *odd = "\xc2\x9b[31m\xe0\x81\x81\xed\xa0\x80\xf4\x90\x80\x80\xf4\x8f\xbf\xbf\x1b.";
static char text[300];
static char packed[8] = {'a', 0, 'b', '\x1b', 'c'};
static struct { struct { int numbers[2000]; } big; int last; } large = {{{6, 7}}, 8};
static struct { char letters[6000]; int last; } lettered = {"", 9};
static char umlauts[300];
static unsigned long long wide = 0xffffffffffffffff;
static long double tall = 1.25L;

__attribute__((noinline)) static int work(struct node *p, int x, double d, struct inner pair)
{
    __asm__ volatile("" : : "r"(p), "r"(numbers), "r"(text), "r"(&wide) : "memory"); /* i386 has registers for so many */
    __asm__ volatile("" : : "r"(&tall), "r"(&odd), "r"(packed), "r"(&large) : "memory");
    __asm__ volatile("" : : "r"(&lettered), "r"(umlauts) : "memory");
    return x + (int)d + pair.a + p->inner[1].b;
}

int main(void)
{
    struct node second = {.label = NULL, .name = "second"};
    struct node first = {&second, "a \"label\"\n\xff\xc3\xa4", "12345678", 5, -9, {{1, -2}, {3, 4}}, {65}, GREEN, 1, 0.1f, 2.5, 200, {7, 8}};
    for (int i = 0; i < 100; i++)
        numbers[i] = i;
    for (int i = 0; i < 299; i++)
        text[i] = 'x';
    for (int i = 0; i < 6000; i++)
        lettered.letters[i] = 'y';
    for (int i = 1; i < 299; i++)
        umlauts[i] = i % 2 ? '\xc3' : '\xa4';
    umlauts[0] = 'u';
    for (int i = 0; i < 3; i++)
        work(&first, -i, 0.5, (struct inner){9, 10});
    return 3;
}
C
wanted=(
    'x = -1'
    'p->label = 0x[0-9a-f]+ "a \\"label\\"\\n\\xffä"'
    'p->name = "12345678"'
    'p->three = 5'
    'p->minus = -9'
    'p->inner = \{\{a = 1, b = -2\}, \{a = 3, b = 4\}\}'
    'p->inner\[1\]\.b = 4'
    "p->both = \{l = 65, c = \"A\"\}"
    'p->color = GREEN'
    'p->flag = true'
    'p->f = 0\.1'
    'p->d = 2\.5'
    "p->byte = 200"
    'p->x \+ p->y = 15'
    'p->next->label = 0x0'
    'p->next->name\[0\] = 115 .s.'
    '\(enum color\)-1 = NONE'
    '\(enum color\)3 = 3'
    'RED = RED'
    'd = 0\.5'
    'pair = \{a = 9, b = 10\}'
    'wide = 18446744073709551615'
    'tall = 1\.25'
    'p->next->next->label = <memory at 0x[48] cannot be read>'
    'x / 0 = <division by zero>'
    'hits = 2'
    '&p->next->next->label = 0x[48]'
    'sizeof\(struct inner\) = 4'
    'packed = "a\\x00b\\x1bc"'
    'large = \{big = \{numbers = \{6, 7, (0, ){48}\.\.\.\}\}, last = \.\.\.\}'
    'lettered = \{letters = "y{200}"\.\.\., last = \.\.\.\}'
    'umlauts = "u(ä){99}"\.\.\.'
    'numbers = \{0, 1, 2, .*, 49, \.\.\.\}'
)
for kind in -O0 '-O1 -gdwarf-4'; do
    read -ra flags <<<"$kind"
    "$cc" -g "${flags[@]}" -o program program.c
    ends 3 "$REIN_BINARY" trace -e breakpoint -b 'work if x == -1' \
        --print 'x,p->label,p->name,p->three,p->minus,p->inner , p->inner[1].b,p->both,p->color,p->flag,p->f,p->d,p->byte' \
        --print 'p->x + p->y,p->next->label,p->next->name[0],(enum color)-1,(enum color)3,RED,d,pair,wide,tall' \
        --print 'p->next->next->label,x / 0,hits,&p->next->next->label,sizeof(struct inner),numbers,*p,text,odd,packed,large,lettered,umlauts' ./program
    for value in "${wanted[@]}"; do
        has err "^\[[0-9]+\] breakpoint at .*[:,] $value(, |$)" 1
    done
    has err ', \*p = \{next = 0x[0-9a-f]+, label = 0x[0-9a-f]+ "a .*", name = "12345678", three = 5, minus = -9, .*\{x = 7, y = 8\}\}' 1
    has err ', text = "x{200}"\.\.\.(, |$)' 1
    grep -qF '"\xc2\x9b[31m\xe0\x81\x81\xed\xa0\x80\xf4\x90\x80\x80'$'\xf4\x8f\xbf\xbf''\x1b."' err || { cat -v err; fail "odd"; }
done

# At a function's first instruction, parameters that amd64's convention passes in memory, or that rein cannot tell.
cat >passed.c <<'C'
struct tall { long double x; int k; };
struct __attribute__((packed)) packed { char a; int b; };
typedef float vector __attribute__((vector_size(16)));
#define SEVEN int a, int b, int c, int d, int e, int f, int g
__attribute__((noinline)) int wide(SEVEN, __int128 x, int y) { return a + b + c + d + e + f + g + (int)x + y; }
__attribute__((noinline)) int tall(SEVEN, struct tall x, char y) { return a + b + c + d + e + f + g + x.k + y; }
__attribute__((noinline)) int packed(struct packed p, int a) { return p.b + a; }
__attribute__((noinline)) int mixed(vector v, float f, int i) { return (int)(v[0] + f) + i; }
__attribute__((noinline, ms_abi)) int foreign(int a, int b) { return a + b; }
int main(void)
{
    int sum = wide(1, 2, 3, 4, 5, 6, 7, 8, 9) + tall(1, 2, 3, 4, 5, 6, 7, (struct tall){1.25L, 42}, 43);
    sum += packed((struct packed){'a', 77}, 5) + mixed((vector){1, 2, 3, 4}, 9.5f, 6) + foreign(3, 4);
    return sum == 1 ? 1 : 3;
}
C
passed() {
    "$@" -g -o passed passed.c
    ends 3 "$REIN_BINARY" trace -e breakpoint -b 'wide if y == 9' --print a,g,y -b tall --print 'g,x.k,x.x,y' \
        -b packed --print p,a ./passed
    has err ': a = 1, g = 7, y = 9$'
    has err ": g = 7, x\.k = 42, x\.x = 1\.25, y = 43 '\+'\$"
    has err ": p = \{a = 97 'a', b = 77\}, a = 5\$"
    if [ "$1" = gcc ]; then
        ends 3 "$REIN_BINARY" trace -e breakpoint -b wide --print '*(u64 *)&x' ./passed
        has err ': \*\(u64 \*\)&x = 8$'
    fi
    ends 3 "$REIN_BINARY" trace -e breakpoint -b mixed --print i ./passed
    has err ': i = 6$'
    for wrong in 'mixed v' 'mixed f' 'foreign a'; do
        ends 1 "$REIN_BINARY" trace -b "${wrong% *}" --print "${wrong#* }" ./passed
        has err 'it is not stored yet where the function begins: take a line in it'
    done
}
if ! is_32_bit && [ "$(uname -m)" = x86_64 ]; then
    passed gcc -O0
    passed gcc -O0 -gdwarf-2 -gstrict-dwarf
    if type clang >/dev/null 2>&1; then passed clang -O0; fi
    if type i686-linux-gnu-gcc >/dev/null 2>&1; then
        cat >passed32.c <<'C'
struct pair { int a; long b; };
__attribute__((noinline, regparm(3))) int three(int a, char c, int b) { return a + b + c; }
__attribute__((noinline)) int many(char c, long long l, double d, short s, struct pair h, int x) { return c + (int)l + (int)d + s + h.a + x; }
int main(void) { return three(1, 2, 3) + many(33, 2, 3, 4, (struct pair){5, 6}, 7) == 0 ? 1 : 3; }
C
        i686-linux-gnu-gcc -g -O0 -static -o passed passed32.c
        ends 3 "$REIN_BINARY" trace -e breakpoint -b many --print l,d,s,h,x ./passed
        has err ': l = 2, d = 3, s = 4, h = \{a = 5, b = 6\}, x = 7$'
        for name in a b c; do
            ends 1 "$REIN_BINARY" trace -b three --print $name ./passed
            has err 'it is not stored yet where the function begins: take a line in it'
        done
    fi
fi

# DWARF 2 has expressions for where members are.
echo 'struct s { int a; struct { int x, y; } in; } s = {1, {2, 3}}; int main(void) { return 3; }' >old.c
"$cc" -gdwarf-2 -gstrict-dwarf -O0 -o old old.c
ends 3 "$REIN_BINARY" trace -e breakpoint -b main --print s,s.in.y ./old
has err ': s = \{a = 1, in = \{x = 2, y = 3\}\}, s\.in\.y = 3$'

# Each field of bits in another doubles the code: it ends before the memory does.
echo 'struct b { unsigned long long pad : 3, d : 50; } b[4]; int main(void) { return b[0].d + 3; }' >fields.c
"$cc" -g -O0 -o fields fields.c
deep='b[0].d'
for _ in {1..40}; do deep="b[$deep].d"; done
ends 1 timeout 20 "$REIN_BINARY" trace -b main --print "$deep" ./fields
has err 'the expression is too long'

# Names of C++: those of the namespaces and classes around the function, from the inside out, then the global ones; others if there
# is only one of that name.
if type "$cxx" >/dev/null 2>&1; then
    cat >names.cc <<'C'
namespace A { int v = 1, w = 11, only = 12; struct T { char c; }; struct Once { int o; }; }
int v = 5, g = 6;
namespace { volatile int hidden = 7; }
namespace B {
int v = 2;
extern int later;
inline namespace now { int current = 8; }
struct T { long l; int m; };
struct S { static int s; int get(int k); };
namespace C { int w = 13; __attribute__((noinline)) int inner(int x) { return x + v + w; } }
__attribute__((noinline)) int outer(int x) { return x + v + current + later + hidden; }
}
namespace D { int w = 14; struct W { int x; }; }
namespace E { struct W { int y; }; }
int B::later = 9;
int B::S::s = 10;
__attribute__((noinline)) int B::S::get(int k) { return k + s + v; }
A::T at; B::T bt; A::Once once = {3}; D::W dw; E::W ew;
int main()
{
    B::S s;
    return B::outer(A::v) + B::C::inner(A::w) + s.get(A::only) + D::w + g + at.c + (int)bt.l + once.o + dw.x + ew.y == 0 ? 1 : 3;
}
C
    for kind in '-O0' '-O1 -gdwarf-4'; do
        read -ra flags <<<"$kind"
        "$cxx" -g "${flags[@]}" -o names names.cc
        ends 3 "$REIN_BINARY" trace -e breakpoint -b _ZN1B5outerEi --print 'v,::v,A::v,B::v,current,later,hidden,only,g,S::s,C::w,sizeof(T)' \
            --print 'sizeof(A::T),sizeof(::A::T),sizeof(Once),B::now::current' -b _ZN1B1C5innerEi --print 'v,w,::v,A::w' \
            -b _ZN1B1S3getEi --print 's,v,sizeof(T)' -b main --print 'v,B::later' ./names
        has err ': v = 2, ::v = 5, A::v = 1, B::v = 2, current = 8, later = 9, hidden = 7, only = 12, g = 6, S::s = 10, C::w = 13, sizeof\(T\) = [0-9]+, sizeof\(A::T\) = 1, sizeof\(::A::T\) = 1, sizeof\(Once\) = 4, B::now::current = 8$'
        has err ', sizeof\(T\) = (16|8), sizeof\(A::T\)'
        has err ': v = 2, w = 13, ::v = 5, A::w = 11$'
        has err ': s = 10, v = 2, sizeof\(T\) = (16|8)$'
        has err ': v = 5, B::later = 9$'
        ends 1 "$REIN_BINARY" trace -b main --print w ./names
        has err 'w could be any of: A::w, B::C::w, D::w$'
        ends 1 "$REIN_BINARY" trace -b main --print '((W *)0)->x' ./names
        has err 'W could be any of: D::W, E::W$'
        ends 1 "$REIN_BINARY" trace -b main --print '::w' ./names
        has err 'there is no variable, register or constant "::w"'
    done
else
    echo "left out: there is no $cxx"
fi

# What C++ imports: using declarations and directives, of units, namespaces and functions; other names of namespaces.
if type "$cxx" >/dev/null 2>&1; then
    cat >imports.cc <<'C'
namespace A { int v = 1, w = 11; struct T { char c; }; int call(int x) { return x + v; } namespace In { int deep = 21; } }
namespace B { using namespace A; int w = 12; }
namespace C { using A::v; using B::w; using A::T; }
namespace D { int only = 14; struct U { short s; }; using namespace A; }
namespace E { using namespace D; int e = 15; }
namespace Loop1 { } namespace Loop2 { using namespace Loop1; int l = 16; } namespace Loop1 { using namespace Loop2; }
namespace F { int f = 17; }
using namespace E;
using F::f;
namespace Short = A::In;
namespace Here { int nobody = 18; }
A::T at; D::U du;
__attribute__((noinline)) int first(int x) { return x + Short::deep + B::v; }
__attribute__((noinline)) int second(int x) { using namespace Here; using Loop1::l; return x + nobody + l; }
int main() { return first(f) + second(C::w) + at.c + du.s + A::call(only) + E::e == 0 ? 1 : 3; }
C
    for kind in '-O0' '-O1 -gdwarf-4'; do
        read -ra flags <<<"$kind"
        "$cxx" -g "${flags[@]}" -o imports imports.cc
        ends 3 "$REIN_BINARY" trace -e breakpoint -b _Z5firsti --print 'f,B::v,B::w,C::v,C::w,only,e,Short::deep,sizeof(U),sizeof(C::T)' \
            --print 'Loop1::l,A::call' -b _Z6secondi --print 'nobody,l' ./imports
        has err ': f = 17, B::v = 1, B::w = 12, C::v = 1, C::w = 12, only = 14, e = 15, Short::deep = 21, sizeof\(U\) = 2, sizeof\(C::T\) = 1, Loop1::l = 16, A::call = 0x[0-9a-f]+ <_ZN1A4callEi>$'
        has err ': nobody = 18, l = 16$'
        ends 1 "$REIN_BINARY" trace -b main --print Loop1::none ./imports
        has err 'there is no variable, register or constant "Loop1::none"'
    done
else
    echo "left out: there is no $cxx"
fi

# Types as C writes them, and pointers to functions with what they point to.
cat >declared.c <<'C'
typedef int (*handler)(int, const char *);
struct ops { handler run; int (*table[2])(int, const char *); void *data; } ops, *where = &ops;
__attribute__((noinline)) int handle(int x, const char *s) { return x + *s; }
int work(struct ops *o);
__attribute__((noinline)) int work(struct ops *o) { return o->run(1, "a"); }
int main(void) { ops = (struct ops){handle, {0, handle}, handle}; return work(where) == 0 ? 1 : 3; }
C
for kind in -O0 '-O2 -gdwarf-4'; do
    read -ra flags <<<"$kind"
    "$cc" -g "${flags[@]}" -o declared declared.c
    sizes=('sizeof(int[3]) = 12' 'sizeof(char *[4]) == 4 * sizeof(char *) = 1' 'sizeof(struct ops *[4]) == 4 * sizeof where = 1'
        'sizeof(int[2][3]) = 24' 'sizeof(short (*[3])(int)) == 3 * sizeof where = 1' 'sizeof(char (*)[100]) == sizeof where = 1'
        'sizeof(handler[2]) == 2 * sizeof where = 1' 'sizeof(struct ops[2]) == 2 * sizeof ops = 1'
        'sizeof(unsigned const char volatile[7]) = 7' 'sizeof(*(char (*)[100])where) = 100'
        'sizeof(int (*(*)(char, ...))[3]) == sizeof where = 1')
    list=$(printf '%s,' "${sizes[@]% = *}")
    ends 3 "$REIN_BINARY" trace -e breakpoint -b work --print "$list""ops.run,(int (*)(int, const char *))ops.data" \
        --print '(handler)ops.data,(void (*)())ops.data == ops.run,*where,handle,(handler)((char *)ops.data + 1)' \
        --print '((int (*(*)[2])(int, const char *))&ops.table)[0][1],(struct ops *(*)(struct ops *o))ops.data' ./declared
    for value in "${sizes[@]}" '(int (*)(int, const char *))ops.data = HEX <handle>' '(handler)ops.data = HEX <handle>' \
        '(void (*)())ops.data == ops.run = 1' '*where = {run = HEX <handle>, table = {0x0, HEX <handle>}, data = HEX}' \
        'handle = HEX <handle>' '(handler)((char *)ops.data + 1) = HEX <handle+0x1>' \
        '((int (*(*)[2])(int, const char *))&ops.table)[0][1] = HEX <handle>' \
        '(struct ops *(*)(struct ops *o))ops.data = HEX <handle>'; do
        sed 's/0x[0-9a-f]\{4,\}/HEX/g' err | grep -qF "$value" || { cat err; fail "$kind: $value"; }
    done
    ends 3 "$REIN_BINARY" trace -j -e breakpoint -b work --print ops.run ./declared
    jq -es 'map(select(.event == "breakpoint"))[0].values["ops.run"] | .symbol == "handle" and .offset == 0 and (.address | startswith("0x"))' \
        err >/dev/null || { cat err; fail "a function in JSON"; }
done
nested=int
for _ in {1..200}; do nested="$nested(*)("; done
for wrong in 'sizeof(int[)' 'sizeof(int[x])' 'sizeof(int[3)' '(int (*)(int)ops.data' '(int (*x' '(int[3])ops.data' 'sizeof(int[])' \
    'sizeof(int (*)(,))' "sizeof($nested" 'sizeof(int[0xffffffffffffffff])' '(int (int))where'; do
    timeout 20 "$REIN_BINARY" trace -b work --print "$wrong" ./declared >out 2>err && fail "no error: $wrong"
    has err '^ +\^$'
    [ ! -s out ]
done

# Parts of registers.
cat >parts.c <<'C'
__attribute__((noinline)) void here(long a, int b) { __asm__ volatile("" : : "r"(a), "r"(b)); }
int main(void)
{
#if defined(__x86_64__)
    __asm__ volatile("movabs $0x1122334455667788, %%rax; mov %%rax, %%r8; mov %%rax, %%rdi; mov $-1, %%esi; mov %%rax, %%r15; call here"
                     : : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r15", "memory");
#elif defined(__i386__)
    __asm__ volatile("mov $0x55667788, %%eax; mov %%eax, %%edi; call here" : : : "eax", "edi", "memory");
#endif
    return 3;
}
C
# shellcheck disable=SC2016 # names of registers, not variables
if [ "$(uname -m)" = x86_64 ]; then
    parts='eax == 0x55667788 && ax == 0x7788 && al == 0x88 && ah == 0x77 && di == 0x7788 && edi == 0x55667788'
    if ! is_32_bit; then
        "$cc" -O1 -no-pie -o parts parts.c
        ends 3 "$REIN_BINARY" trace -e breakpoint -b "here if $parts && r8d == eax && r8w == ax && r8b == al && \$r15l == \$al && dil == al" \
            --print 'esi,sil,(int)esi,$ah,sizeof(al),sizeof eax,eip == rip' ./parts
        has err ': esi = 0xffffffff, sil = 255, \(int\)esi = -1, \$ah = 119, sizeof\(al\) = 1, sizeof eax = 4, eip == rip = 1$'
        for name in '$r16d' '$sp' '$r8x' '$w0' '$rd'; do
            ends 1 "$REIN_BINARY" trace -b here --print "$name" ./parts
            has err 'amd64 has no register'
        done
    fi
    if type i686-linux-gnu-gcc >/dev/null 2>&1; then
        i686-linux-gnu-gcc -O1 -static -o parts parts.c
        ends 3 "$REIN_BINARY" trace -e breakpoint -b "here if $parts" --print 'sizeof ax' ./parts
        has err ': sizeof ax = 2$' 1
        for name in '$rax' '$r8d' '$dil'; do
            ends 1 "$REIN_BINARY" trace -b here --print "$name" ./parts
            has err 'i386 has no register'
        done
    fi
fi

# Each -b has its own; none without one.
ends 3 "$REIN_BINARY" trace -e breakpoint -b work --print x -b main --print 'sizeof(int)' ./program
has err ' work .*: x = -?[0-2]$' 3
has err ' main .*: sizeof\(int\) = 4$' 1

ends 3 "$REIN_BINARY" trace -j -b 'work if x == -1' --print 'x,p->label,p->name,p->inner,p->color,p->flag,p->d,wide,*p,p->next->label' \
    --print 'p->next->next->label,numbers,p->next,packed,large,lettered,umlauts' ./program
jq -es 'map(select(.event == "breakpoint"))[0].values | .x == -1 and (.["p->label"].text | startswith("a \"label\"\n"))
    and (.["p->label"].address | startswith("0x")) and .["p->name"] == "12345678"
    and .["p->inner"] == [{"a": 1, "b": -2}, {"a": 3, "b": 4}] and .["p->color"] == "GREEN" and .["p->flag"] == true
    and .["p->d"] == 2.5 and .wide == "18446744073709551615" and .["*p"].minus == -9 and .["*p"].x == 7
    and .["p->next->label"] == "0x0" and (.["p->next->next->label"].error | test("cannot be read"))
    and (.numbers | length) == 50 and .packed == "a\u0000b\u001bc"
    and (.large.big.numbers | length) == 50 and (.large | has("last") | not) and (.lettered.letters | length) == 200
    and .umlauts == "u" + "ä" * 99 and (.["p->next"] | startswith("0x"))' err >/dev/null || { head -n 3 err; fail "values"; }

# A key that is not UTF-8.
ends 3 "$REIN_BINARY" trace -j -b work --print $'x+\'\xff\'*0' ./program
jq -es 'map(select(.event == "breakpoint"))[0].values == {"x+\u0027?\u0027*0": 0}' err >/dev/null || { head -n 3 err; fail "key"; }

# An expression that is wrong.
ends 2 "$REIN_BINARY" trace -b work --print 'x,+' ./program
has err "^rein: --print 'x,\+': an expression is missing here"
has err '^       \^$'
ends 1 "$REIN_BINARY" trace -b work --print 'x,y' ./program
has err "^rein: --print 'x,y': there is no variable, register or constant \"y\""
[ ! -s out ] || fail "it ran"

# ---- Random expressions, against the compiler ----

cat >random.awk <<'A'
function pick(list, n,    parts) { n = split(list, parts, " "); return parts[int(rand() * n) + 1] }
function constant() {
    return pick("0 1 2 3 7 10 100 255 256 1000 65535 65536 0x7fffffff 0x80000000 2147483648 4294967295u 1u 3l 5ul 0x100000000 077 '\\n' 'a'")
}
function leaf() {
    if (rand() < 0.3) return constant()
    return pick("i u c sc uc s us l ul ll ull b e p->i p->uc p->bits p->sbits (u64)p->wide a[2] a[i&3] g.i (*p).s q->next->i *pi pi[1]")
}
function expr(depth,    r) {
    r = rand()
    if (depth == 0 || r < 0.08) return leaf()
    if (r < 0.2) return pick("- ~ ! +") " " expr(depth - 1)
    if (r < 0.3) return "(" pick("u8 s8 u16 s16 u32 s32 u64 s64 int long short char _Bool unsigned long@long unsigned@char") ")" "(" expr(depth - 1) ")"
    if (r < 0.36) return "(" expr(depth - 1) " ? " expr(depth - 1) " : " expr(depth - 1) ")"
    if (r < 0.42) return "(" expr(depth - 1) ") " pick("<< >>") " " int(rand() * 20)
    if (r < 0.48) return "(" expr(depth - 1) ") " pick("/ %") " " pick("1 2 3 7 10u 100l 1000ul 5ll")
    return "(" expr(depth - 1) ") " pick("+ - * & | ^ && || == != < <= > >=") " (" expr(depth - 1) ")"
}
BEGIN {
    srand(seed)
    for (n = 0; n < count; n++) {
        text = expr(1 + int(rand() * 4))
        gsub(/@/, " ", text)
        print "(long long)(" text ")"
    }
}
A
cat >head.c <<'C'
#include <stdint.h>
#include <stdio.h>
typedef uint8_t u8; typedef int8_t s8; typedef uint16_t u16; typedef int16_t s16;
typedef uint32_t u32; typedef int32_t s32; typedef uint64_t u64; typedef int64_t s64;
enum letters { A, B = 7 };
struct thing { int i; unsigned char uc; unsigned bits : 5; int sbits : 7; unsigned long long wide : 37; short s; struct thing *next; };
int i = -3; unsigned u = 4000000000u; char c = -7; signed char sc = -100; unsigned char uc = 200; short s = -30000;
unsigned short us = 60000; long l = -123456; unsigned long ul = 0x89abcdef; long long ll = -5000000000; unsigned long long ull = 0xf123456789abcdef;
_Bool b = 1; enum letters e = B; int a[4] = {5, -6, 7, -8}; int *pi = a;
struct thing g = {1 << 20, 130, 21, -33, 0x1abcdef123, -2, &g}, *p = &g, *q = &g;
__attribute__((noinline)) void here(void) { __asm__ volatile("" : : : "memory"); }
int main(void)
{
    here();
C
# (A field of more bits than an int has is to gcc, and to no other, of a type that is as narrow.)
# compared SEED COMPILER...: what rein prints is what the program computes.
compared() {
    local seed=$1 count=150 options=() line
    shift
    awk -v seed="$seed" -v count=$count -f random.awk >expressions
    { cat head.c; sed 's/.*/    printf("%lld\\n", &);/' expressions; echo '    return 0; }'; } >compared.c
    "$@" -w -g -O0 -fwrapv -o compared compared.c
    ./compared >expected
    while read -r line; do options+=(--print "$line"); done <expressions
    ends 0 "$REIN_BINARY" trace -e breakpoint -b here "${options[@]}" ./compared
    sed -n 's/^.* here (compared\.c:[0-9]*): //p' err | sed 's/, /\n/g' >found
    paste -d= expressions expected | sed 's/\(.*\)=/\1 = /' | diff - found >difference || { head -n 10 difference; fail "seed $seed, $*"; }
}
for seed in 1 2; do
    compared "$seed" "$cc"
done
if ! is_32_bit && type i686-linux-gnu-gcc >/dev/null 2>&1; then
    compared 3 i686-linux-gnu-gcc -static
fi

/* The tracee of the fuzzed server, in x86's instructions so that its addresses are the same wherever it is built: what recorded sessions
 * name must be there. It ends by itself, soon: a thread, a signal that it handles, a child, and calls of work() before each. What
 * a server looks for in a dynamic program - a list of libraries, thread-local data - is in its writable memory, for the client to
 * garble. t.ld says what is where; functions are aligned because assemblers differ in which jumps they make short. */
    .set SYS_rt_sigaction, 13
    .set SYS_rt_sigreturn, 15
    .set SYS_sched_yield, 24
    .set SYS_nanosleep, 35
    .set SYS_getpid, 39
    .set SYS_clone, 56
    .set SYS_fork, 57
    .set SYS_exit, 60
    .set SYS_wait4, 61
    .set SYS_arch_prctl, 158
    .set SYS_gettid, 186
    .set SYS_exit_group, 231
    .set SYS_tgkill, 234
    .set SIGUSR1, 10
    .set DT_DEBUG, 21

    .macro call_kernel number
    movl $\number, %eax
    syscall
    .endm

    .text
    .globl _start, work, inner, thread, child, handler
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined rip
    cmpq $1, (%rsp)
    je 1f
    leaq delay(%rip), %rdi /* it has an argument: it is to be attached to first */
    xorl %esi, %esi
    call_kernel SYS_nanosleep
1:  movl $0x1002, %edi /* ARCH_SET_FS */
    leaq tcb(%rip), %rsi
    call_kernel SYS_arch_prctl
    movl $SIGUSR1, %edi
    leaq action(%rip), %rsi
    xorl %edx, %edx
    movl $8, %r10d
    call_kernel SYS_rt_sigaction
    movl $0x50f00, %edi /* CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM */
    leaq stack_top(%rip), %rsi
    xorl %edx, %edx
    xorl %r10d, %r10d
    xorl %r8d, %r8d
    call_kernel SYS_clone
    testl %eax, %eax
    jz thread
    movl $3, %ebx
1:  call work
    decl %ebx
    jnz 1b
    call_kernel SYS_getpid
    movl %eax, %ebx
    call_kernel SYS_gettid
    movl %ebx, %edi
    movl %eax, %esi
    movl $SIGUSR1, %edx
    call_kernel SYS_tgkill
    call_kernel SYS_fork
    testl %eax, %eax
    jz child
    movl %eax, %edi
    xorl %esi, %esi
    xorl %edx, %edx
    xorl %r10d, %r10d
    call_kernel SYS_wait4
2:  call_kernel SYS_sched_yield
    cmpl $0, thread_done(%rip)
    je 2b
    movl $7, %edi
    call_kernel SYS_exit_group
    hlt
    .cfi_endproc
    .size _start, . - _start

    .balign 128
    .type work, @function
work:
    .cfi_startproc
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register rbp
    incq counter(%rip)
    call inner
    popq %rbp
    .cfi_def_cfa rsp, 8
    ret
    .cfi_endproc
    .size work, . - work

    .balign 128
    .type inner, @function
inner:
    .cfi_startproc
    movq counter(%rip), %rax
    addq %fs:0x10, %rax
    nop
    ret
    .cfi_endproc
    .size inner, . - inner

    .balign 128
    .type thread, @function
thread:
    .cfi_startproc
    .cfi_undefined rip
    call work
    call work
    movl $1, thread_done(%rip)
    xorl %edi, %edi
    call_kernel SYS_exit
    hlt
    .cfi_endproc
    .size thread, . - thread

    .balign 128
    .type child, @function
child:
    .cfi_startproc
    .cfi_undefined rip
    call work
    movl $3, %edi
    call_kernel SYS_exit_group
    hlt
    .cfi_endproc
    .size child, . - child

    .balign 128
    .type handler, @function
handler:
    incq handled(%rip)
    ret
restorer:
    call_kernel SYS_rt_sigreturn
    .size handler, . - handler

    .data
    .globl counter, handled, text, debug, map
counter:
    .quad 0
handled:
    .quad 0
thread_done:
    .quad 0
text:
    .asciz "what is here can be read, $#}* too"
    .balign 8
delay:
    .quad 0, 50000000
action:
    .quad handler, 0x04000000, restorer, 0 /* SA_RESTORER */
debug: /* struct r_debug */
    .quad 1, map, inner, 0, 0
map: /* struct link_map: address, name, dynamic section, next, former */
    .quad 0, name, dynamic, map2, 0
map2:
    .quad 0x10000, other, dynamic, 0, map
name:
    .asciz "/t"
other:
    .asciz "/lib/u"
    .balign 16
tcb: /* struct pthread: itself, its vector of thread-local blocks, itself */
    .quad tcb, vector, tcb, 0
vector:
    .quad 1, 0, local, 0, 0, 0
    .balign 16
    .skip 4096
stack_top:

    .section .dynamic_data, "aw"
dynamic:
    .quad DT_DEBUG, debug, 0, 0

    .section .tdata, "awT", @progbits
local:
    .quad 42

    .section .note.GNU-stack, "", @progbits

/*
 * For LD_PRELOAD into linux.uml. Its buffer for the registers of the FPU is smaller than the state of processors with AMX,
 * and Linux refuses to write a part of that state (xstateregs_set, arch/x86/kernel/fpu/regset.c, 6.1): the guest dies
 * with its first process. Here the part is completed from the state that the process has.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static char state[65536];

long ptrace(enum __ptrace_request request, ...) {
  static long (*next)(enum __ptrace_request, ...);
  va_list words;
  va_start(words, request);
  pid_t pid = va_arg(words, pid_t);
  void *address = va_arg(words, void *);
  void *data = va_arg(words, void *);
  va_end(words);
  if (!next) next = dlsym(RTLD_NEXT, "ptrace");
  if (request != PTRACE_SETREGSET || address != (void *)NT_X86_XSTATE)
    return next(request, pid, address, data);
  struct iovec *given = data;
  struct iovec whole = {state, sizeof state};
  long status = next(PTRACE_GETREGSET, pid, address, &whole);
  if (status != 0) return status;
  memcpy(state, given->iov_base, given->iov_len < whole.iov_len ? given->iov_len : whole.iov_len);
  return next(PTRACE_SETREGSET, pid, address, &whole);
}

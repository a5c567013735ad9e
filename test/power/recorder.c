/*
 * Preloaded into armorhooks (LD_PRELOAD), this records every change that the process makes below one directory, with
 * the data, in one order over all threads and processes, so that disks can be built as a power cut at any moment may
 * leave them. Syncs only begin and end in the record: nothing is really synced, which would slow everything down.
 *
 *   ARMORHOOKS_POWER_ROOT   the directory, absolute
 *   ARMORHOOKS_POWER_LOG    the file that the record is appended to
 *   ARMORHOOKS_POWER_DELAY  microseconds that each sync takes
 *   ARMORHOOKS_POWER_FAIL   SUFFIX:N: the Nth sync of a file whose path ends so fails, once, with EIO
 *   ARMORHOOKS_POWER_FULL   SUFFIX:N: the first N writes to a file whose path ends so fail with ENOSPC
 *   ARMORHOOKS_POWER_CLOCK  seconds that the wall clock is ahead of (or, negative, behind) the machine's
 *
 * The runtime makes some of its system calls by itself and not through the C library, so those are caught where
 * they enter the kernel (seccomp) and made here, in the handler of the signal that this sends.
 *
 * A record is a header, a path, for a rename the other path, and data. record.ts reads them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, SYNC_FAILED, RENAME, UNLINK, MKDIR, UNKNOWN };

struct header {
  uint32_t bytes; /* of the whole record */
  uint16_t kind;
  uint16_t path_bytes;
  uint32_t other_bytes;
  uint32_t process;
  uint64_t inode;
  uint64_t number; /* an offset for WRITE, a length for TRUNCATE, the sync's own number for SYNC_… */
};

static const char *root;
static size_t root_length;
static int log_fd = -1;
static long delay;
static long clock_offset;

/* Calls on files whose path ends so, counted. */
struct rule {
  char suffix[64];
  long limit;
  long seen;
};
static struct rule fail, full;
static uint32_t syncs;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* The one place from which the filter lets system calls pass; answers what the kernel does, errors as -errno. */
long recorder_pass(long number, long a, long b, long c, long d, long e, long f);
extern char recorder_passed[];
#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
__asm__(".text\n.globl recorder_pass\n.globl recorder_passed\nrecorder_pass:\n"
        "mov %rdi,%rax\nmov %rsi,%rdi\nmov %rdx,%rsi\nmov %rcx,%rdx\nmov %r8,%r10\nmov %r9,%r8\nmov 8(%rsp),%r9\n"
        "syscall\nrecorder_passed:\nret\n");
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
__asm__(".text\n.globl recorder_pass\n.globl recorder_passed\nrecorder_pass:\n"
        "mov x8,x0\nmov x0,x1\nmov x1,x2\nmov x2,x3\nmov x3,x4\nmov x4,x5\nmov x5,x6\n"
        "svc #0\nrecorder_passed:\nret\n");
#else
#error "the recorder knows x86_64 and aarch64"
#endif
#define PASS(number, a, b, c, d, e, f) \
  recorder_pass(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static void die(const char *what) {
  char text[128];
  int n = snprintf(text, sizeof text, "recorder: %s\n", what);
  PASS(SYS_write, 2, text, n, 0, 0, 0);
  _exit(99);
}

static void lock(void) {
  pthread_mutex_lock(&mutex);
  while (flock(log_fd, LOCK_EX) != 0)
    if (errno != EINTR) die("cannot lock the record");
}

static void unlock(void) {
  flock(log_fd, LOCK_UN);
  pthread_mutex_unlock(&mutex);
}

static int is_below_root(const char *path) {
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static int path_of(int fd, char *into) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, into, PATH_MAX - 1);
  if (length < 0) return 0;
  into[length] = 0;
  return 1;
}

/* The absolute path that a call means; false when it is not below the root. */
static int resolve(int dir, const char *path, char *into) {
  if (path[0] == '/') {
    if (strlen(path) >= PATH_MAX) return 0;
    strcpy(into, path);
    return is_below_root(into);
  }
  char base[PATH_MAX];
  if (dir == AT_FDCWD ? getcwd(base, sizeof base) == NULL : !path_of(dir, base)) return 0;
  return snprintf(into, PATH_MAX, "%s/%s", base, path) < PATH_MAX && is_below_root(into);
}

/* Whether a descriptor is open on a file or directory below the root. */
static int is_ours(int fd, char *path, uint64_t *inode) {
  struct stat stats;
  if (fd < 0 || fd == log_fd || fstat(fd, &stats) != 0) return 0;
  if (!S_ISREG(stats.st_mode) && !S_ISDIR(stats.st_mode)) return 0;
  *inode = stats.st_ino;
  return path_of(fd, path) && is_below_root(path);
}

#define MOST_PARTS 1024

/* Appended with one write, so that a killed process leaves whole records. Call it with the lock. */
static void record(int kind, const char *path, const char *other, uint64_t inode, uint64_t number,
                   const struct iovec *data, int count, size_t length) {
  static struct iovec parts[3 + MOST_PARTS];
  size_t path_bytes = strlen(path), other_bytes = other ? strlen(other) : 0;
  struct header header = {(uint32_t)(sizeof header + path_bytes + other_bytes + length),
                          (uint16_t)kind, (uint16_t)path_bytes, (uint32_t)other_bytes, (uint32_t)getpid(), inode, number};
  int n = 0;
  parts[n++] = (struct iovec){&header, sizeof header};
  parts[n++] = (struct iovec){(void *)path, path_bytes};
  parts[n++] = (struct iovec){(void *)other, other_bytes};
  if (count > MOST_PARTS) die("too many parts in one write");
  for (int i = 0; i < count && length > 0; i++) {
    size_t take = data[i].iov_len < length ? data[i].iov_len : length;
    parts[n++] = (struct iovec){data[i].iov_base, take};
    length -= take;
  }
  if (PASS(SYS_writev, log_fd, parts, n, 0, 0, 0) != (long)header.bytes) die("cannot write the record");
}

static long opened(int dir, const char *path, int flags, mode_t mode) {
  char full[PATH_MAX];
  if (!resolve(dir, path, full)) return PASS(SYS_openat, dir, path, flags, mode, 0, 0);
  lock();
  int is_new = (flags & O_CREAT) && access(full, F_OK) != 0;
  long fd = PASS(SYS_openat, dir, path, flags, mode, 0, 0);
  struct stat stats;
  if (fd >= 0 && fstat((int)fd, &stats) == 0) {
    if (is_new) record(CREATE, full, NULL, stats.st_ino, 0, NULL, 0, 0);
    else if (flags & O_TRUNC) record(TRUNCATE, full, NULL, stats.st_ino, 0, NULL, 0, 0);
  }
  unlock();
  return fd;
}

/* Whether a rule is about this file; how often it was is then in `seen`. */
static int concerns(struct rule *rule, const char *path) {
  size_t length = strlen(path), end = strlen(rule->suffix);
  if (rule->limit == 0 || length < end || strcmp(path + length - end, rule->suffix) != 0) return 0;
  rule->seen++;
  return 1;
}

/* A call that writes; `offset` is -1 where it is the descriptor's own. */
static long written(int fd, const struct iovec *parts, int count, off_t offset, const long *call) {
  char path[PATH_MAX];
  uint64_t inode;
  if (!is_ours(fd, path, &inode)) return PASS(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
  lock();
  if (concerns(&full, path) && full.seen <= full.limit) {
    unlock();
    return -ENOSPC;
  }
  off_t at = offset;
  if (at < 0) at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
  long length = PASS(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
  if (length > 0) record(WRITE, path, NULL, inode, at, parts, count, length);
  unlock();
  return length;
}

static long truncated(int fd, off_t length) {
  char path[PATH_MAX];
  uint64_t inode;
  if (!is_ours(fd, path, &inode)) return PASS(SYS_ftruncate, fd, length, 0, 0, 0, 0);
  lock();
  long result = PASS(SYS_ftruncate, fd, length, 0, 0, 0, 0);
  if (result == 0) record(TRUNCATE, path, NULL, inode, length, NULL, 0, 0);
  unlock();
  return result;
}

static long synced(long call, int fd) {
  char path[PATH_MAX];
  uint64_t inode;
  if (!is_ours(fd, path, &inode)) return PASS(call, fd, 0, 0, 0, 0, 0);
  lock();
  uint64_t number = ((uint64_t)getpid() << 32) | ++syncs;
  int fails = concerns(&fail, path) && fail.seen == fail.limit;
  record(SYNC_BEGIN, path, NULL, inode, number, NULL, 0, 0);
  unlock();
  if (delay > 0) nanosleep(&(struct timespec){delay / 1000000, delay % 1000000 * 1000}, NULL);
  lock();
  record(fails ? SYNC_FAILED : SYNC_END, path, NULL, inode, number, NULL, 0, 0);
  unlock();
  return fails ? -EIO : 0;
}

static long renamed(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
  char full[PATH_MAX], other[PATH_MAX];
  int is_from = resolve(from_dir, from, full), is_to = resolve(to_dir, to, other);
  if (!is_from && !is_to) return PASS(SYS_renameat2, from_dir, from, to_dir, to, flags, 0);
  lock();
  long result = PASS(SYS_renameat2, from_dir, from, to_dir, to, flags, 0);
  if (result == 0) record(is_from && is_to && flags == 0 ? RENAME : UNKNOWN, full, other, 0, 0, NULL, 0, 0);
  unlock();
  return result;
}

static long removed(int dir, const char *path, int flags) {
  char full[PATH_MAX];
  if (!resolve(dir, path, full)) return PASS(SYS_unlinkat, dir, path, flags, 0, 0, 0);
  lock();
  long result = PASS(SYS_unlinkat, dir, path, flags, 0, 0, 0);
  if (result == 0) record(UNLINK, full, NULL, 0, 0, NULL, 0, 0);
  unlock();
  return result;
}

static long made(int dir, const char *path, mode_t mode) {
  char full[PATH_MAX];
  if (!resolve(dir, path, full)) return PASS(SYS_mkdirat, dir, path, mode, 0, 0, 0);
  lock();
  long result = PASS(SYS_mkdirat, dir, path, mode, 0, 0, 0);
  if (result == 0) record(MKDIR, full, NULL, 0, 0, NULL, 0, 0);
  unlock();
  return result;
}

/* A change that the disks are not built with: whoever reads the record must fail. */
static long unknown(int fd, const long *call) {
  char path[PATH_MAX];
  uint64_t inode;
  if (is_ours(fd, path, &inode)) {
    lock();
    record(UNKNOWN, path, NULL, inode, call[0], NULL, 0, 0);
    unlock();
  }
  return PASS(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
}

static long unknown_path(int dir, const char *path, const long *call) {
  char full[PATH_MAX];
  if (resolve(dir, path, full)) {
    lock();
    record(UNKNOWN, full, NULL, 0, call[0], NULL, 0, 0);
    unlock();
  }
  return PASS(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
}

static long handle(const long *call) {
  const long *a = call + 1;
  struct iovec one = {(void *)a[1], (size_t)a[2]};
  switch (call[0]) {
    case SYS_openat: return opened((int)a[0], (const char *)a[1], (int)a[2], (mode_t)a[3]);
    case SYS_write: return written((int)a[0], &one, 1, -1, call);
    case SYS_pwrite64: return written((int)a[0], &one, 1, a[3], call);
    case SYS_writev: return written((int)a[0], (const struct iovec *)a[1], (int)a[2], -1, call);
    case SYS_pwritev:
    case SYS_pwritev2: return written((int)a[0], (const struct iovec *)a[1], (int)a[2], a[3], call);
    case SYS_ftruncate: return truncated((int)a[0], a[1]);
    case SYS_fsync:
    case SYS_fdatasync: return synced(call[0], (int)a[0]);
    case SYS_renameat: return renamed((int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3], 0);
    case SYS_renameat2:
      return renamed((int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3], (unsigned)a[4]);
    case SYS_unlinkat: return removed((int)a[0], (const char *)a[1], (int)a[2]);
    case SYS_mkdirat: return made((int)a[0], (const char *)a[1], (mode_t)a[2]);
    case SYS_fallocate:
    case SYS_sync_file_range: return unknown((int)a[0], call);
    case SYS_sendfile: return unknown((int)a[0], call);
    case SYS_copy_file_range: return unknown((int)a[2], call);
    case SYS_truncate: return unknown_path(AT_FDCWD, (const char *)a[0], call);
    case SYS_linkat: return unknown_path((int)a[2], (const char *)a[3], call);
    case SYS_openat2: return unknown_path((int)a[0], (const char *)a[1], call);
#if defined(__x86_64__)
    case SYS_open: return opened(AT_FDCWD, (const char *)a[0], (int)a[1], (mode_t)a[2]);
    case SYS_creat: return opened(AT_FDCWD, (const char *)a[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)a[1]);
    case SYS_rename: return renamed(AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1], 0);
    case SYS_unlink: return removed(AT_FDCWD, (const char *)a[0], 0);
    case SYS_rmdir: return removed(AT_FDCWD, (const char *)a[0], AT_REMOVEDIR);
    case SYS_mkdir: return made(AT_FDCWD, (const char *)a[0], (mode_t)a[1]);
    case SYS_link: return unknown_path(AT_FDCWD, (const char *)a[1], call);
#endif
    default: return -ENOSYS;
  }
}

/* Every call that `handle` knows. */
static const int CAUGHT[] = {
    SYS_openat, SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_ftruncate, SYS_fsync, SYS_fdatasync,
    SYS_renameat, SYS_renameat2, SYS_unlinkat, SYS_mkdirat, SYS_fallocate, SYS_sync_file_range, SYS_sendfile,
    SYS_copy_file_range, SYS_truncate, SYS_linkat, SYS_openat2,
#if defined(__x86_64__)
    SYS_open, SYS_creat, SYS_rename, SYS_unlink, SYS_rmdir, SYS_mkdir, SYS_link,
#endif
};
#define CAUGHT_COUNT (sizeof CAUGHT / sizeof *CAUGHT)

static void caught(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  int saved = errno;
  mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
#if defined(__x86_64__)
  greg_t *r = machine->gregs;
  long call[7] = {r[REG_RAX], r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
  /* The kernel leaves the number of the call there. */
  call[0] = info->si_syscall;
  r[REG_RAX] = handle(call);
#else
  unsigned long long *r = machine->regs;
  long call[7] = {info->si_syscall, r[0], r[1], r[2], r[3], r[4], r[5]};
  r[0] = handle(call);
#endif
  errno = saved;
}

/* The runtime would have calls that are forbidden fail; ours are not. */
int sigaction(int signal, const struct sigaction *action, struct sigaction *before) {
  static int (*real)(int, const struct sigaction *, struct sigaction *);
  if (!real) real = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
  if (signal == SIGSYS && action && action->sa_sigaction != caught) return 0;
  return real(signal, action, before);
}

#define LOW(address) ((uint32_t)(uintptr_t)(address))
#define HIGH(address) ((uint32_t)((uint64_t)(uintptr_t)(address) >> 32))

static void catch_calls(void) {
  struct sock_filter filter[9 + 2 * CAUGHT_COUNT];
  unsigned short n = 0;
  const uint32_t pointer = offsetof(struct seccomp_data, instruction_pointer);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, pointer);
  filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LOW(recorder_passed), 0, 3);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, pointer + 4);
  filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HIGH(recorder_passed), 0, 1);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < CAUGHT_COUNT; i++) {
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)CAUGHT[i], 0, 1);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  }
  struct sock_filter whole[sizeof filter / sizeof *filter + 1];
  memcpy(whole, filter, n * sizeof *filter);
  whole[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {n, whole};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("cannot give up new privileges");
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) die("cannot catch system calls (seccomp)");
}

static void read_rule(const char *name, struct rule *rule) {
  const char *text = getenv(name), *colon = text ? strrchr(text, ':') : NULL;
  if (!colon || (size_t)(colon - text) >= sizeof rule->suffix) return;
  memcpy(rule->suffix, text, (size_t)(colon - text));
  rule->limit = atol(colon + 1);
}

static long setting(const char *name) {
  const char *text = getenv(name);
  return text ? atol(text) : 0;
}

/* These enter no kernel, so that the filter does not see them. */
int clock_gettime(clockid_t id, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, id, now);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += clock_offset;
  return result;
}
int gettimeofday(struct timeval *now, void *zone) {
  (void)zone;
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  *now = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
  return 0;
}

__attribute__((constructor)) static void begin(void) {
  clock_offset = setting("ARMORHOOKS_POWER_CLOCK");
  root = getenv("ARMORHOOKS_POWER_ROOT");
  const char *log = getenv("ARMORHOOKS_POWER_LOG");
  if (!root || !log) return;
  root_length = strlen(root);
  delay = setting("ARMORHOOKS_POWER_DELAY");
  read_rule("ARMORHOOKS_POWER_FAIL", &fail);
  read_rule("ARMORHOOKS_POWER_FULL", &full);
  int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  /* Out of the way of the numbers that the program expects. */
  log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
  if (log_fd < 0) die("cannot open the record");
  close(fd);
  struct sigaction action = {0};
  action.sa_sigaction = caught;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  if (sigaction(SIGSYS, &action, NULL) != 0) die("cannot handle SIGSYS");
  catch_calls();
}

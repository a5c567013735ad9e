/*
 * Receives webhooks at next to no cost: an epoll loop that answers a constant and notes what came. Beside it, a
 * receiver that runs on Bun takes much of the second processor, which flatters whatever is compared.
 *
 *   receiver <ports>    listens on so many ports of 127.0.0.1 and says which: "ports 1 2 3"
 *
 * It is told by lines, and answers each with one:
 *
 *   expect <count> <every>    forgets what came, waits for so many, keeps one request of so many: "ok"
 *   reached                   answers once the last of them has come: "reached <milliseconds since 1970>"
 *   report                    "report <json>"
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
#define ANSWER_BYTES (sizeof(ANSWER) - 1)
#define CHUNK_BYTES 65536
#define MAX_AT_ONCE 512
#define MAX_SAMPLES 200
#define MAX_REQUEST_BYTES (1 << 20)

enum kind { LISTENER, CLIENT, COMMANDS };

struct end {
  enum kind kind;
  int fd;
  int listener;
  char *rest;
  size_t held, room;
};

struct sample {
  int listener;
  size_t length;
  char *bytes;
};

static long expected, every, count, distinct, connections, *per_listener;
static int listeners, samples_kept, is_asked;
static double first_at, last_at;
static struct sample samples[MAX_SAMPLES];
static uint64_t *seen;
static size_t seen_room;

static void die(const char *what) {
  fprintf(stderr, "receiver: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *need(void *memory) {
  if (!memory) die("memory");
  return memory;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static uint64_t hash(uint64_t state, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) state = (state ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
  return state;
}

/* An open hash set, never more than half full: it has room for twice what is expected. */
static void note_distinct(uint64_t value) {
  value ^= value >> 29;
  if (value == 0) value = 1;
  if ((size_t)distinct * 2 >= seen_room) return;
  size_t at = (value * 0x9e3779b97f4a7c15ull) & (seen_room - 1);
  for (; seen[at] != 0; at = (at + 1) & (seen_room - 1))
    if (seen[at] == value) return;
  seen[at] = value;
  distinct++;
}

static void forget(long next, long sample_every) {
  expected = next;
  every = sample_every;
  count = distinct = connections = 0;
  first_at = last_at = 0;
  memset(per_listener, 0, listeners * sizeof(long));
  for (int i = 0; i < samples_kept; i++) free(samples[i].bytes);
  samples_kept = 0;
  free(seen);
  for (seen_room = 1024; seen_room < (size_t)next * 4; seen_room *= 2);
  seen = need(calloc(seen_room, sizeof(uint64_t)));
}

static void note(int listener, const char *request, size_t length, uint64_t identity) {
  count++;
  per_listener[listener]++;
  note_distinct(identity);
  if (count == 1) first_at = now();
  if (every > 0 && count % every == 0 && samples_kept < MAX_SAMPLES) {
    struct sample *sample = &samples[samples_kept++];
    sample->listener = listener;
    sample->length = length;
    sample->bytes = need(malloc(length));
    memcpy(sample->bytes, request, length);
  }
  if (count < expected) return;
  last_at = now();
  if (!is_asked) return;
  is_asked = 0;
  printf("reached %.3f\n", last_at);
}

/* Takes the first request of what has come; 0 when it is not whole yet. */
static size_t take(int listener, const char *bytes, size_t length) {
  const char *end = memmem(bytes, length, "\r\n\r\n", 4);
  if (!end) return 0;
  const char *line = memchr(bytes, '\n', length);
  size_t body = 0;
  uint64_t identity = hash(0xcbf29ce484222325ull + listener, bytes, line - bytes);
  while (line < end) {
    const char *field = line + 1;
    line = memchr(field, '\n', end + 2 - field);
    if (!line) line = end + 1;
    if (strncasecmp(field, "content-length:", 15) == 0) body = strtoul(field + 15, NULL, 10);
    else if (strncasecmp(field, "webhook-id:", 11) == 0) identity = hash(identity, field + 11, line - field - 11);
  }
  size_t whole = end + 4 - bytes + body;
  if (whole > length) return 0;
  note(listener, bytes, whole, identity);
  return whole;
}

static void hang_up(struct end *client) {
  close(client->fd);
  free(client->rest);
  free(client);
}

static void hold(struct end *client, const char *bytes, size_t length) {
  if (length > MAX_REQUEST_BYTES) {
    errno = EMSGSIZE;
    die("a request");
  }
  if (client->room < length) client->rest = need(realloc(client->rest, client->room = 2 * length));
  memmove(client->rest, bytes, length);
  client->held = length;
}

static void receive(struct end *client) {
  static char chunk[CHUNK_BYTES];
  static char answers[MAX_AT_ONCE * ANSWER_BYTES];
  ssize_t came = read(client->fd, chunk, sizeof chunk);
  if (came < 0 && errno == EAGAIN) return;
  if (came <= 0) return hang_up(client);
  const char *bytes = chunk;
  size_t length = came;
  if (client->held > 0) {
    size_t held = client->held;
    if (client->room < held + length) client->rest = need(realloc(client->rest, client->room = 2 * (held + length)));
    memcpy(client->rest + held, chunk, length);
    bytes = client->rest;
    length += held;
  }
  size_t at = 0, taken = 0, answered = 0;
  while (at < length && (taken = take(client->listener, bytes + at, length - at)) > 0) {
    at += taken;
    memcpy(answers + answered, ANSWER, ANSWER_BYTES);
    answered += ANSWER_BYTES;
    if (answered == sizeof answers) break;
  }
  if (at < length) hold(client, bytes + at, length - at);
  else client->held = 0;
  if (answered > 0 && write(client->fd, answers, answered) != (ssize_t)answered) hang_up(client);
}

static void watch(int epoll, struct end *end) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, end->fd, &event) < 0) die("epoll");
}

static struct end *make(enum kind kind, int fd, int listener) {
  struct end *end = need(calloc(1, sizeof *end));
  *end = (struct end){.kind = kind, .fd = fd, .listener = listener};
  return end;
}

static void welcome(int epoll, struct end *listener) {
  for (;;) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connections++;
    watch(epoll, make(CLIENT, fd, listener->listener));
  }
}

static void print_report(void) {
  printf("report {\"count\":%ld,\"distinct\":%ld,\"firstAt\":%.3f,\"lastAt\":%.3f,\"connections\":%ld,\"perListener\":[",
         count, distinct, first_at, last_at, connections);
  for (int i = 0; i < listeners; i++) printf(i ? ",%ld" : "%ld", per_listener[i]);
  printf("],\"samples\":[");
  for (int i = 0; i < samples_kept; i++) {
    printf(i ? ",{\"listener\":%d,\"hex\":\"" : "{\"listener\":%d,\"hex\":\"", samples[i].listener);
    for (size_t j = 0; j < samples[i].length; j++) printf("%02x", (unsigned char)samples[i].bytes[j]);
    printf("\"}");
  }
  printf("]}\n");
}

static void obey(void) {
  static char text[4096];
  static size_t held;
  ssize_t came = read(0, text + held, sizeof text - held - 1);
  if (came <= 0) exit(0);
  text[held += came] = 0;
  char *line = text;
  for (char *end; (end = strchr(line, '\n')); line = end + 1) {
    long next, sample_every;
    *end = 0;
    if (sscanf(line, "expect %ld %ld", &next, &sample_every) == 2) {
      forget(next, sample_every);
      printf("ok\n");
    } else if (strcmp(line, "reached") == 0) {
      if (count >= expected) printf("reached %.3f\n", last_at);
      else is_asked = 1;
    } else if (strcmp(line, "report") == 0) print_report();
  }
  held -= line - text;
  memmove(text, line, held);
}

int main(int arguments, char **argument) {
  listeners = arguments > 1 ? atoi(argument[1]) : 1;
  per_listener = need(calloc(listeners, sizeof(long)));
  setvbuf(stdout, NULL, _IOLBF, 1 << 16);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  forget(0, 0);
  int epoll = epoll_create1(0);
  watch(epoll, make(COMMANDS, 0, 0));
  printf("ports");
  for (int i = 0; i < listeners; i++) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 1024) < 0) die("listen");
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf(" %d", ntohs(address.sin_port));
    watch(epoll, make(LISTENER, fd, i));
  }
  printf("\n");
  struct epoll_event events[256];
  for (;;) {
    int ready = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      struct end *end = events[i].data.ptr;
      if (end->kind == LISTENER) welcome(epoll, end);
      else if (end->kind == COMMANDS) obey();
      else receive(end);
    }
  }
}

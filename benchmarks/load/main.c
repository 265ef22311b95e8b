/* A load generator for WebSocket servers, in one thread: its arguments, its phases, its report.
 *
 *   cc -O2 -o load *.c                              or, for TLS and compression:
 *   cc -O2 -DWITH_TLS -DWITH_DEFLATE -o load *.c -lssl -lcrypto -lz
 */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct options options = {
    .mode = MODE_ECHO, .host = "127.0.0.1", .port = 8000, .connections = 1, .window = 1, .fragments = 1,
    .size = 64,
    .warm_up = 0.5, .seconds = 2,
};

static const char *const mode_names[] = {"echo", "broadcast", "connect", "idle"};

static const char usage[] =
    "load --mode echo|broadcast|connect|idle [option ...]\n"
    "  --host ADDRESS --port PORT --path PATH   127.0.0.1, 8000, and /echo or /broadcast\n"
    "  --connections N   how many, 1; of connect: how many at once\n"
    "  --active N        echo: only so many of them send, the others are idle\n"
    "  --window N        messages in flight of each connection, or broadcasts in flight, 1\n"
    "  --size BYTES      of a message, 64\n"
    "  --text            text messages, not binary ones\n"
    "  --fragments N     frames of a message, 1\n"
    "  --deflate         compressed messages, where it was built in\n"
    "  --ping            echo: pings and pongs, not messages\n"
    "  --tls             where it was built in\n"
    "  --warm-up SECONDS --seconds SECONDS      not measured, 0.5, and measured, 2\n"
    "  --server PID      report CPU time of this process as well\n"
    "  --gate            wait for a line on standard input when all connections are open, which\n"
    "                    a line on standard output says, and again after the result\n"
    "The result is one line of JSON. Times are in seconds, but for latency_us. A message is an echo,\n"
    "a delivery of a broadcast, or connect, echo and close; its latency is that of the echo, of a\n"
    "broadcast to all, or of connect, echo and close. total has those too that were not measured.\n";

static void take_option(const char *name, const char *value) {
    struct options *o = &options;
    if (strcmp(name, "--mode") == 0) {
        for (size_t i = 0; i < sizeof mode_names / sizeof *mode_names; i++)
            if (strcmp(value, mode_names[i]) == 0) {
                o->mode = (enum mode)i;
                return;
            }
        die("there is no mode %s", value);
    }
    const struct { const char *name; int *number; double *seconds; const char **text; } known[] = {
        {"--host", NULL, NULL, &o->host}, {"--path", NULL, NULL, &o->path}, {"--port", &o->port, NULL, NULL},
        {"--connections", &o->connections, NULL, NULL}, {"--active", &o->active, NULL, NULL},
        {"--window", &o->window, NULL, NULL}, {"--fragments", &o->fragments, NULL, NULL}, {"--server", &o->server, NULL, NULL},
        {"--warm-up", NULL, &o->warm_up, NULL}, {"--seconds", NULL, &o->seconds, NULL},
    };
    if (strcmp(name, "--size") == 0) {
        o->size = strtoul(value, NULL, 10);
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) != 0)
            continue;
        if (known[i].number != NULL)
            *known[i].number = atoi(value);
        else if (known[i].seconds != NULL)
            *known[i].seconds = atof(value);
        else
            *known[i].text = value;
        return;
    }
    die("there is no option %s; --help shows those there are", name);
}

static void take_options(int count, char **words) {
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        }
        bool *flag = strcmp(words[i], "--text") == 0      ? &options.text
                     : strcmp(words[i], "--tls") == 0     ? &options.tls
                     : strcmp(words[i], "--deflate") == 0 ? &options.deflate
                     : strcmp(words[i], "--ping") == 0    ? &options.ping
                     : strcmp(words[i], "--gate") == 0    ? &options.gate
                                                          : NULL;
        if (flag != NULL)
            *flag = true;
        else if (i + 1 < count) {
            take_option(words[i], words[i + 1]);
            i++;
        } else
            die("%s needs a value", words[i]);
    }
    if (options.connections < 1)
        die("there must be a connection");
    if (options.fragments < 1)
        die("a message has at least one frame");
    if (options.deflate && (options.fragments > 1 || !options.text || options.size < STAMP_SIZE))
        die("a compressed message is one frame of text, of at least %d bytes", STAMP_SIZE);
    if (options.ping && (options.mode != MODE_ECHO || options.deflate || options.fragments > 1 || options.size > CONTROL_SIZE))
        die("a ping is one frame of at most %d bytes, and comes back in echo mode", CONTROL_SIZE);
    if (options.active == 0)
        options.active = options.connections;
    if (options.path == NULL)
        options.path = options.mode == MODE_BROADCAST ? "/broadcast" : "/echo";
}

static void allow_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < (rlim_t)options.connections + 16)
        die("%d connections need more descriptors than the %ld allowed", options.connections, (long)limit.rlim_cur);
}

static void gate(void) {
    fflush(stdout);
    if (options.gate)
        for (int read = getchar(); read != '\n' && read != EOF;)
            read = getchar();
    now = nanoseconds();
}

static void open_all(void) {
    expecting = true;
    wanted = options.connections;
    while (open_now < wanted)
        turn(nanoseconds() + 100000000);
    while (options.mode == MODE_BROADCAST && !everybody_joined())
        turn(nanoseconds() + 10000000);
    if (options.mode == MODE_IDLE) {
        mode_begin();
        while (in_flight > 0)
            turn(nanoseconds() + 100000000);
    }
    expecting = false;
}

/* Most servers log a client that is gone without a word. */
static void close_all(void) {
    uint64_t end = nanoseconds() + 2000000000;
    for (int i = 0; i < options.connections; i++)
        if (connections[i].stage == STAGE_OPEN) {
            put_close(&connections[i]);
            flush(&connections[i]);
        }
    while (open_now > 0 && nanoseconds() < end)
        turn(end);
}

static void run_for(double seconds) {
    uint64_t end = nanoseconds() + (uint64_t)(seconds * 1e9);
    while (nanoseconds() < end)
        turn(end);
}

static void print_cpu(const char *name, struct cpu_time before, struct cpu_time after) {
    printf(", \"%s_cpu\": %.6f", name, after.used - before.used);
    if (before.waited >= 0 && after.waited >= 0)
        printf(", \"%s_waited\": %.6f", name, after.waited - before.waited);
}

static void measure(void) {
    struct cpu_time none = {0, -1}, own = cpu_time_of(getpid());
    struct cpu_time server = options.server ? cpu_time_of(options.server) : none;
    uint64_t begin = nanoseconds();
    measuring = true;
    run_for(options.seconds);
    while (messages == 0 && options.mode != MODE_IDLE)
        turn(nanoseconds() + 100000000); /* the cost of no message is no figure */
    measuring = false;
    double seconds = (double)(nanoseconds() - begin) / 1e9;
    struct cpu_time server_after = options.server ? cpu_time_of(options.server) : none;
    struct cpu_time own_after = cpu_time_of(getpid());
    running = false;
    while (in_flight > 0 || (options.mode == MODE_CONNECT && (opening > 0 || open_now > 0)))
        turn(nanoseconds() + 100000000);
    printf("{\"mode\": \"%s\", \"connections\": %d", mode_names[options.mode], options.connections);
    printf(", \"messages\": %llu, \"total\": %llu, \"seconds\": %.6f", (unsigned long long)messages,
           (unsigned long long)total, seconds);
    printf(", \"latency_us\": {\"p50\": %.2f, \"p99\": %.2f, \"max\": %.2f}", latency_microseconds(0.5),
           latency_microseconds(0.99), latency_microseconds(1));
    print_cpu("generator", own, own_after);
    if (options.server)
        print_cpu("server", server, server_after);
    puts("}");
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN); /* a write of OpenSSL's may raise it */
    take_options(count, words);
    prepare_mode();
    allow_descriptors();
    prepare_transport();
    prepare_messages();
    prepare_connections();
    if (options.mode != MODE_CONNECT)
        open_all();
    if (options.gate) {
        printf("{\"open\": %d}\n", open_now);
        gate();
    }
    expecting = options.mode != MODE_IDLE;
    if (expecting)
        mode_begin();
    run_for(options.warm_up);
    measure();
    gate();
    close_all();
    return 0;
}

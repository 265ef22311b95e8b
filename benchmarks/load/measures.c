/* Time, latency, CPU time, chance, and the end of a run that went wrong. */
#include "load.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Durations share a bucket if they agree in their 6 leading bits: 3 % apart at most. */
enum { LEADING = 6, STEPS = 1 << (LEADING - 1), BUCKETS = STEPS * 64 };
static uint64_t buckets[BUCKETS], recorded, longest;

uint64_t nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void record_latency(uint64_t duration) {
    int dropped = 0;
    if (duration >> LEADING)
        dropped = 64 - LEADING - __builtin_clzll(duration);
    buckets[(size_t)dropped * STEPS + (duration >> dropped)]++;
    recorded++;
    if (duration > longest)
        longest = duration;
}

double latency_microseconds(double part) {
    uint64_t rank = (uint64_t)(part * (double)recorded), seen = 0;
    if (rank >= recorded)
        return (double)longest / 1000;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        seen += buckets[bucket];
        if (seen > rank) {
            size_t dropped = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
            double lowest = (double)((uint64_t)(bucket - dropped * STEPS) << dropped);
            return (lowest + (double)((uint64_t)1 << dropped) / 2) / 1000;
        }
    }
    return (double)longest / 1000;
}

static bool read_line(const char *path, char *line, int size) {
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    bool read = fgets(line, size, file) != NULL;
    fclose(file);
    return read;
}

/* utime and stime, where the kernel keeps no schedstat; in ticks, usually of 10 ms. */
static struct cpu_time coarse_cpu_time_of(int process) {
    char path[64], line[1024];
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    if (read_line(path, line, sizeof line)) {
        /* The name, in brackets, may have spaces and brackets in it. */
        char *rest = strrchr(line, ')');
        if (rest != NULL)
            sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    }
    return (struct cpu_time){(double)(user + kernel) / (double)sysconf(_SC_CLK_TCK), -1};
}

struct cpu_time cpu_time_of(int process) {
    char path[320], line[128];
    unsigned long long used, waited, used_in_all = 0, waited_in_all = 0;
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        die("there is no process %d", process);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", process, entry->d_name);
        if (entry->d_name[0] != '.' && read_line(path, line, sizeof line)
            && sscanf(line, "%llu %llu", &used, &waited) == 2) {
            used_in_all += used;
            waited_in_all += waited;
        }
    }
    closedir(tasks);
    if (used_in_all == 0)
        return coarse_cpu_time_of(process);
    return (struct cpu_time){(double)used_in_all / 1e9, (double)waited_in_all / 1e9};
}

/* Section 5.3 wants masking keys that a page's script cannot foresee; here no proxy is deceived. */
uint64_t random_bits(void) {
    static uint64_t state;
    while (state == 0)
        if (getrandom(&state, sizeof state, 0) != sizeof state)
            die("no random numbers");
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

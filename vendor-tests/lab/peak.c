/* peak OUT PROGRAM ARGUMENTS...
 *
 * Runs a program and writes "pid <n>" and, after its end, "peak_kib <n>" and "cpu_ms <n>"
 * to OUT. Python can not measure this itself: the kernel counts the memory that the parent
 * had when it forked into the child's ru_maxrss, and Python's own is larger than what is
 * to be measured. This launcher is small enough not to matter.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3) return 120;
    FILE *out = fopen(argv[1], "w");
    if (!out) return 121;
    pid_t child = fork();
    if (child < 0) return 122;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv(argv[2], argv + 2);
        _exit(123);
    }
    fprintf(out, "pid %d\n", child);
    fflush(out);
    int status;
    struct rusage used;
    if (wait4(child, &status, 0, &used) < 0) return 124;
    long cpu_ms = used.ru_utime.tv_sec * 1000 + used.ru_utime.tv_usec / 1000
                + used.ru_stime.tv_sec * 1000 + used.ru_stime.tv_usec / 1000;
    fprintf(out, "peak_kib %ld\ncpu_ms %ld\n", used.ru_maxrss, cpu_ms);
    fclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

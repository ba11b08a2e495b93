/* ranks.c - see ranks.h: the few calls of MPI that training needs, from a library that is loaded on demand. */
#include "train/ranks.h"

#include <dlfcn.h>
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LIBRARY  "libmpi.so.40"
#define SPIN_S   3e-4 /* a wait that takes longer sleeps between looks */
#define SLEEP_US 50

#define CALLS(X)                                                                                                       \
    X(MPI_Init_thread)                                                                                                 \
    X(MPI_Comm_rank)                                                                                                   \
    X(MPI_Comm_size)                                                                                                   \
    X(MPI_Comm_split_type)                                                                                             \
    X(MPI_Iallgather)                                                                                                  \
    X(MPI_Isend)                                                                                                       \
    X(MPI_Irecv)                                                                                                       \
    X(MPI_Testall)                                                                                                     \
    X(MPI_Abort)                                                                                                       \
    X(MPI_Finalize)

struct fw_ranks {
    /* what mpi.h's names stand for in the library that was loaded */
#define X(f) __typeof__(f) *f;
    CALLS(X)
#undef X
    MPI_Comm world;
    MPI_Info no_info;
    MPI_Datatype byte, float32;
    int rank, size, turn, threads;
    bool over;            /* a meeting failed: all ranks know, none communicates any more */
    MPI_Request *request; /* owned [n_request] */
    int n_request;
    double *sent, *got; /* owned: a meeting's [n_meet], [size, n_meet] */
    int n_meet;
    fw_err *errors; /* owned [size] */
};

/* ---- start ---- */

static fw_status load(fw_ranks *r, fw_err *err) {
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL); /* its plug-ins look for it among the global names */
    const char *missing = NULL;
    if (lib == NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "started by mpirun, but OpenMPI cannot be loaded: %s", dlerror());
    }
#define X(f)                                                                                                           \
    *(void **)&r->f = dlsym(lib, #f);                                                                                  \
    missing = r->f == NULL ? #f : missing;
    CALLS(X)
#undef X
    r->world = dlsym(lib, "ompi_mpi_comm_world");
    r->no_info = dlsym(lib, "ompi_mpi_info_null");
    r->byte = dlsym(lib, "ompi_mpi_byte");
    r->float32 = dlsym(lib, "ompi_mpi_float");
    if (missing != NULL || r->world == NULL || r->no_info == NULL || r->byte == NULL || r->float32 == NULL) {
        return fw_fail(err, FW_UNSUPPORTED, "%s: no %s: not the OpenMPI that was built with", LIBRARY,
                       missing != NULL ? missing : "handles");
    }
    return FW_OK;
}

static void wait_for(fw_ranks *r, int n) {
    const double start = fw_now_s();
    for (int done = 0;;) {
        r->MPI_Testall(n, r->request, &done, MPI_STATUSES_IGNORE);
        if (done) {
            return;
        }
        if (fw_now_s() - start > SPIN_S) {
            usleep(SLEEP_US);
        } else {
            sched_yield();
        }
    }
}

static void no_memory(const fw_ranks *r) {
    fw_error("rank %d of %d: out of memory", r->rank, r->size);
    r->MPI_Abort(r->world, 1);
}

static void want_requests(fw_ranks *r, int n) {
    if (n <= r->n_request) {
        return;
    }
    free(r->request);
    r->request = malloc((size_t)n * sizeof(*r->request));
    r->n_request = n;
    if (r->request == NULL) {
        no_memory(r);
    }
}

/* This machine's ranks, and how many of them may run on each of this one's CPUs. */
static fw_status look_around(fw_ranks *r, fw_err *err) {
    MPI_Comm here;
    int n = 0, local = 0;
    double share = 0;
    r->MPI_Comm_split_type(r->world, MPI_COMM_TYPE_SHARED, 0, r->no_info, &here);
    r->MPI_Comm_rank(here, &local);
    r->MPI_Comm_size(here, &n);
    r->turn = r->rank == 0 ? 0 : local == 0 ? 1 : 2;
    cpu_set_t mine, *all = calloc((size_t)n, sizeof *all);
    CPU_ZERO(&mine);
    want_requests(r, 1);
    if (all == NULL || sched_getaffinity(0, sizeof mine, &mine) != 0) {
        free(all);
        return fw_fail(err, FW_NOMEM, "rank %d: cannot see which CPUs are its own", r->rank);
    }
    r->MPI_Iallgather(&mine, sizeof mine, r->byte, all, sizeof mine, r->byte, here, r->request);
    wait_for(r, 1);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int sharers = 0;
        for (int i = 0; i < n; i++) {
            sharers += CPU_ISSET(cpu, &all[i]) != 0;
        }
        share += CPU_ISSET(cpu, &mine) ? 1.0 / sharers : 0.0;
    }
    r->threads = share > 1.0 ? (int)(share + 1e-6) : 1;
    free(all);
    return FW_OK;
}

/* mpirun says how many it started; other launchers only that they did. */
static bool launched(void) {
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    return size != NULL ? strtol(size, NULL, 10) > 1 : getenv("PMIX_RANK") != NULL;
}

fw_status fw_ranks_open(fw_ranks **out, fw_err *err) {
    int provided = 0;
    *out = NULL;
    if (!launched()) {
        return FW_OK;
    }
    fw_ranks *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return fw_fail(err, FW_NOMEM, "ranks: out of memory");
    }
    fw_status s = load(r, err);
    if (s != FW_OK) {
        free(r);
        return s;
    }
    r->MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    r->MPI_Comm_rank(r->world, &r->rank);
    r->MPI_Comm_size(r->world, &r->size);
    if (r->rank > 0) {
        fw_log_set_level(FW_LOG_ERROR);
    }
    *out = r;
    r->errors = calloc((size_t)r->size, sizeof *r->errors);
    if (r->errors == NULL) {
        return fw_fail(err, FW_NOMEM, "ranks: out of memory");
    }
    return look_around(r, err);
}

bool fw_ranks_tells(const fw_ranks *r, fw_status s, fw_err *err) {
    if (r == NULL || s == FW_OK || r->over) {
        return r == NULL || r->rank == 0;
    }
    (void)fw_fail_in(err, s, "rank %d of %d", r->rank, r->size);
    return true;
}

void fw_ranks_close(fw_ranks *r, fw_status s) {
    if (r == NULL) {
        return;
    }
    if (s != FW_OK && !r->over) {
        r->MPI_Abort(r->world, 1);
    }
    r->MPI_Finalize();
    free(r->request);
    free(r->sent);
    free(r->got);
    free(r->errors);
    free(r);
}

int fw_ranks_rank(const fw_ranks *r) {
    return r != NULL ? r->rank : 0;
}
int fw_ranks_size(const fw_ranks *r) {
    return r != NULL ? r->size : 1;
}
int fw_ranks_turn(const fw_ranks *r) {
    return r != NULL ? r->turn : 0;
}
int fw_ranks_threads(const fw_ranks *r) {
    return r != NULL ? r->threads : 0;
}

/* ---- talk ---- */

/* all [size, bytes] */
static void gather(fw_ranks *r, const void *mine, size_t bytes, void *all) {
    r->MPI_Iallgather(mine, (int)bytes, r->byte, all, (int)bytes, r->byte, r->world, r->request);
    wait_for(r, 1);
}

/* The first rank whose status is not FW_OK; how many those are. states [size, n]: the status stands first. */
static int failures(const fw_ranks *r, const double *states, int n, int *first) {
    int count = 0;
    for (int i = r->size - 1; i >= 0; i--) {
        if ((fw_status)states[i * n] != FW_OK) {
            count++;
            *first = i;
        }
    }
    return count;
}

/* Everybody's error becomes that of rank `who`. */
static fw_status share_error(fw_ranks *r, int who, bool all_failed, fw_err *err) {
    const fw_err mine = *err;
    gather(r, &mine, sizeof mine, r->errors);
    *err = r->errors[who];
    return all_failed ? err->code : fw_fail_in(err, err->code, "rank %d of %d", who, r->size);
}

static void want_meeting(fw_ranks *r, int n) {
    if (n <= r->n_meet) {
        return;
    }
    free(r->sent);
    free(r->got);
    r->sent = malloc((size_t)n * sizeof(double));
    r->got = malloc((size_t)n * (size_t)r->size * sizeof(double));
    r->n_meet = n;
    if (r->sent == NULL || r->got == NULL) {
        no_memory(r);
    }
}

fw_status fw_ranks_meet(fw_ranks *r, fw_status s, const double *mine, int n, double *all, fw_err *err) {
    int first = 0;
    if (r == NULL || r->over) {
        for (int k = 0; r == NULL && k < n; k++) {
            all[k] = mine[k];
        }
        return s;
    }
    want_meeting(r, n + 1);
    r->sent[0] = (double)s;
    for (int k = 0; k < n; k++) {
        r->sent[k + 1] = mine[k];
    }
    gather(r, r->sent, (size_t)(n + 1) * sizeof(double), r->got);
    const int failed = failures(r, r->got, n + 1, &first);
    if (failed > 0) {
        r->over = true;
        return share_error(r, first, failed == r->size, err);
    }
    for (int i = 0; i < r->size * n; i++) {
        all[i] = r->got[i / n * (n + 1) + i % n + 1];
    }
    return FW_OK;
}

void fw_ranks_swap(fw_ranks *r, const fw_ranks_part *send, int n_send, const fw_ranks_part *recv, int n_recv) {
    want_requests(r, n_send + n_recv);
    for (int i = 0; i < n_recv; i++) {
        r->MPI_Irecv(recv[i].data, (int)recv[i].n, r->float32, recv[i].rank, 0, r->world, r->request + i);
    }
    for (int i = 0; i < n_send; i++) {
        r->MPI_Isend(send[i].data, (int)send[i].n, r->float32, send[i].rank, 0, r->world, r->request + n_recv + i);
    }
    wait_for(r, n_send + n_recv);
}

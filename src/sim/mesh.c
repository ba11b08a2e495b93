/* mesh.c - fewer triangles for drawing: software rendering is bound by vertices, not by pixels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim_int.h"

typedef struct cell_map {
    int64_t *key;
    int *vertex; /* -1: empty */
    size_t cap;  /* a power of two */
} cell_map;

/* The first vertex seen in the cell that holds p. */
static int representative(cell_map *map, const float *p, double cell, int v) {
    int64_t q = 0;
    for (int c = 0; c < 3; c++) {
        q = q * 2097152 + ((int64_t)floor((double)p[c] / cell) + 1048576);
    }
    size_t k = (size_t)(((uint64_t)q * 0x9E3779B97F4A7C15ull) >> 20) & (map->cap - 1);
    while (map->vertex[k] >= 0 && map->key[k] != q) {
        k = (k + 1) & (map->cap - 1);
    }
    if (map->vertex[k] < 0) {
        map->vertex[k] = v;
        map->key[k] = q;
    }
    return map->vertex[k];
}

/* Faces whose corners fall together disappear; the others are packed to the front of the mesh's own range. */
static void decimate_mesh(mjModel *m, int i, double cell, cell_map *map, int *rep) {
    int n_vert = m->mesh_vertnum[i], n_face = m->mesh_facenum[i], kept = 0;
    const float *vert = m->mesh_vert + 3 * (size_t)m->mesh_vertadr[i];
    int *face = m->mesh_face + 3 * (size_t)m->mesh_faceadr[i],
        *normal = m->mesh_facenormal + 3 * (size_t)m->mesh_faceadr[i];
    memset(map->vertex, 0xFF, map->cap * sizeof *map->vertex);
    for (int v = 0; v < n_vert; v++) {
        rep[v] = representative(map, vert + 3 * (size_t)v, cell, v);
    }
    for (int f = 0; f < n_face; f++) {
        int a = rep[face[3 * f]], b = rep[face[3 * f + 1]], c = rep[face[3 * f + 2]];
        if (a == b || b == c || a == c) {
            continue;
        }
        face[3 * kept] = a, face[3 * kept + 1] = b, face[3 * kept + 2] = c;
        memmove(normal + 3 * (size_t)kept, normal + 3 * (size_t)f, 3 * sizeof *normal);
        kept++;
    }
    m->mesh_facenum[i] = kept;
}

void sim_decimate(mjModel *m, double cell_m) {
    int most = 0;
    for (int i = 0; i < m->nmesh; i++) {
        most = m->mesh_vertnum[i] > most ? m->mesh_vertnum[i] : most;
    }
    cell_map map = {.cap = 64};
    while (map.cap < 2 * (size_t)most) {
        map.cap *= 2;
    }
    map.key = malloc(map.cap * sizeof *map.key);
    map.vertex = malloc(map.cap * sizeof *map.vertex);
    int *rep = malloc(((size_t)most + 1) * sizeof *rep);
    for (int i = 0; i < m->nmesh && map.key != NULL && map.vertex != NULL && rep != NULL; i++) {
        if (m->mesh_facenum[i] > 600 && m->mesh_texcoordadr[i] < 0) {
            decimate_mesh(m, i, cell_m, &map, rep);
        }
    }
    free(map.key);
    free(map.vertex);
    free(rep);
}

/* render.c - pictures without a screen: EGL on Mesa's surfaceless platform, MuJoCo's own renderer, no shadows, no multisampling. */
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim_int.h"

struct fw_renderer {
    EGLDisplay display;
    EGLContext context;
    mjvScene scene;
    mjrContext gl;
    mjvOption option;
    bool scene_made, gl_made;
    int max_px;
    uint8_t *rows; /* owned: a picture as OpenGL gives it, bottom row first */
};

static fw_status open_egl(fw_renderer *r, fw_err *err) {
    /* clang-format off */
    static const EGLint want[] = {EGL_RED_SIZE, 8, EGL_GREEN_SIZE, 8, EGL_BLUE_SIZE, 8, EGL_DEPTH_SIZE, 24,
                                  EGL_COLOR_BUFFER_TYPE, EGL_RGB_BUFFER, EGL_SURFACE_TYPE, EGL_PBUFFER_BIT,
                                  EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT, EGL_NONE};
    /* clang-format on */
    setenv("LP_NUM_THREADS", "1", 0); /* workers are processes; more threads a picture only fight each other */
    PFNEGLGETPLATFORMDISPLAYEXTPROC get =
        (PFNEGLGETPLATFORMDISPLAYEXTPROC)eglGetProcAddress("eglGetPlatformDisplayEXT");
    r->display = get != NULL ? get(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL) : EGL_NO_DISPLAY;
    EGLConfig config;
    EGLint n = 0;
    if (r->display == EGL_NO_DISPLAY || !eglInitialize(r->display, NULL, NULL)) {
        return fw_fail(err, FW_IO, "EGL: no surfaceless Mesa display (apt-get install libegl1 libgl1-mesa-dri)");
    }
    if (!eglChooseConfig(r->display, want, &config, 1, &n) || n < 1 || !eglBindAPI(EGL_OPENGL_API)) {
        return fw_fail(err, FW_IO, "EGL: no configuration for desktop OpenGL with 24-bit depth");
    }
    r->context = eglCreateContext(r->display, config, EGL_NO_CONTEXT, NULL);
    if (r->context == EGL_NO_CONTEXT || !eglMakeCurrent(r->display, EGL_NO_SURFACE, EGL_NO_SURFACE, r->context)) {
        return fw_fail(err, FW_IO, "EGL: no OpenGL context (error 0x%x)", (unsigned)eglGetError());
    }
    return FW_OK;
}

typedef struct make_args {
    fw_renderer *r;
    mjModel *m;
} make_args;

static void make_gl(void *ctx) {
    make_args *a = ctx;
    mjv_makeScene(a->m, &a->r->scene, 1000);
    a->r->scene_made = true;
    mjr_makeContext(a->m, &a->r->gl, mjFONTSCALE_50);
    a->r->gl_made = true;
    mjr_setBuffer(mjFB_OFFSCREEN, &a->r->gl);
}

fw_status sim_renderer_new(mjModel *m, int max_px, fw_renderer **out, fw_err *err) {
    fw_renderer *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return fw_fail(err, FW_NOMEM, "renderer");
    }
    r->display = EGL_NO_DISPLAY;
    r->context = EGL_NO_CONTEXT;
    r->max_px = max_px;
    mjv_defaultScene(&r->scene);
    mjr_defaultContext(&r->gl);
    mjv_defaultOption(&r->option);
    r->rows = malloc(3 * (size_t)max_px * (size_t)max_px);
    fw_status st = r->rows != NULL ? open_egl(r, err) : fw_fail(err, FW_NOMEM, "renderer");
    if (st == FW_OK) {
        st = sim_guard(make_gl, &(make_args){r, m}, "OpenGL context", err);
    }
    if (st != FW_OK) {
        sim_renderer_free(r);
        return st;
    }
    r->scene.flags[mjRND_SHADOW] = 0;
    r->scene.flags[mjRND_REFLECTION] = 0;
    r->scene.flags[mjRND_HAZE] = 0;
    *out = r;
    return FW_OK;
}

void sim_renderer_free(fw_renderer *r) {
    if (r == NULL) {
        return;
    }
    if (r->context != EGL_NO_CONTEXT) {
        eglMakeCurrent(r->display, EGL_NO_SURFACE, EGL_NO_SURFACE, r->context);
    }
    if (r->gl_made) {
        mjr_freeContext(&r->gl);
    }
    if (r->scene_made) {
        mjv_freeScene(&r->scene);
    }
    if (r->display != EGL_NO_DISPLAY) {
        /* the display itself is the process's: others may draw on it, and Mesa leaks when it is ended */
        eglMakeCurrent(r->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
        if (r->context != EGL_NO_CONTEXT) {
            eglDestroyContext(r->display, r->context);
        }
    }
    free(r->rows);
    free(r);
}

typedef struct draw_args {
    fw_renderer *r;
    const mjModel *m;
    mjData *d;
    int cam, w, h;
} draw_args;

static void draw(void *ctx) {
    draw_args *a = ctx;
    mjvCamera camera;
    mjv_defaultCamera(&camera);
    camera.type = mjCAMERA_FIXED;
    camera.fixedcamid = a->cam;
    mjrRect view = {0, 0, a->w, a->h};
    mjv_updateScene(a->m, a->d, &a->r->option, NULL, &camera, mjCAT_ALL, &a->r->scene);
    mjr_render(view, &a->r->scene, &a->r->gl);
    mjr_readPixels(a->r->rows, NULL, view, &a->r->gl);
}

typedef struct upload_args {
    fw_renderer *r;
    const mjModel *m;
    uint64_t stale;
} upload_args;

static void upload(void *ctx) {
    upload_args *a = ctx;
    for (int t = 0; t < a->m->ntex && t < 64; t++) {
        if ((a->stale >> t) & 1) {
            mjr_uploadTexture(a->m, &a->r->gl, t);
        }
    }
}

static fw_status make_current(fw_renderer *r, fw_err *err) {
    if (eglGetCurrentContext() != r->context &&
        !eglMakeCurrent(r->display, EGL_NO_SURFACE, EGL_NO_SURFACE, r->context)) {
        return fw_fail(err, FW_IO, "EGL: the context cannot be made current");
    }
    return FW_OK;
}

fw_status sim_renderer_textures(fw_renderer *r, const mjModel *m, uint64_t stale, fw_err *err) {
    if (stale == 0) {
        return FW_OK;
    }
    FW_TRY(make_current(r, err));
    return sim_guard(upload, &(upload_args){r, m, stale}, "uploading textures", err);
}

fw_status sim_renderer_draw(fw_renderer *r, const mjModel *m, mjData *d, int cam, int w, int h, uint8_t *rgb,
                            fw_err *err) {
    if (w < 1 || h < 1 || w > r->max_px || h > r->max_px) {
        return fw_fail(err, FW_INVALID, "picture of %dx%d, wanted at most %dx%d", w, h, r->max_px, r->max_px);
    }
    FW_TRY(make_current(r, err));
    FW_TRY(sim_guard(draw, &(draw_args){r, m, d, cam, w, h}, "rendering", err));
    size_t row = 3 * (size_t)w;
    for (int y = 0; y < h; y++) {
        memcpy(rgb + (size_t)y * row, r->rows + (size_t)(h - 1 - y) * row, row);
    }
    return FW_OK;
}

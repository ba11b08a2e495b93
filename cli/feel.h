/* feel.h - contacts felt by a robot with a model: its dynamics and joint friction for the momentum observer (robot/observer.h). */
#ifndef FW_CLI_FEEL_H
#define FW_CLI_FEEL_H

#include "robot/observer.h"
#include "sim/body.h"

/* body: borrowed by the observer, whose thread uses it. */
static inline fw_observer_opts cli_feel(fw_body *body) {
    fw_observer_opts o = FW_OBSERVER_OPTS_DEFAULT;
    o.dynamics = fw_body_model;
    o.ctx = body;
    for (int i = 0; i < fw_body_n_axis(body); i++) {
        o.viscous[i] = fw_body_axis_of(body, i)->damping;
        o.dry[i] = fw_body_axis_of(body, i)->stick;
    }
    return o;
}

#endif /* FW_CLI_FEEL_H */

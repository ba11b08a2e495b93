/*
 * machine.pml - the mode machine of src/safety/machine.c as a Promela model, for spin. docs/SAFETY.md has the same in words.
 *
 *   tools/check_model.sh             verifies everything below
 *
 * Conditions come and go as they like, up to two in a cycle (the walk over the code itself takes all sets of them); requests and acknowledgements come at any time. One turn of the loop
 * is one control cycle: conditions, escalation, latching, acknowledgement, request, in the order of the code.
 */
#define SILENT 0
#define STANDBY 1
#define AUTONOMOUS 2
#define TELEOPERATED 3
#define KEEP 4

#define NONE 0
#define WARN 1
#define HOLD 2
#define RETRACT 3
#define STOP 4
#define TERMINATE 5

/* what is present, a bit for each kind of fault: reaction and the modes it counts in */
bool estop, contact, stop_asked, fault, policy_lost, operator_lost, bad_command, clipped;
/* what is latched, by reaction */
bool l_terminate, l_contact, l_stop, l_hold, l_warn;

byte mode = SILENT, severity = NONE, request = KEEP;
byte was_mode = SILENT, was_severity = NONE;
bool acknowledge, at_rest, hold_over, retract_over, can_retract, began;

#define MOVES(m) (m == AUTONOMOUS || m == TELEOPERATED)
#define RAISE(s) if :: severity < s -> severity = s :: else fi
#define ANY(x) if :: x = true :: x = false fi

#define COMES \
    if :: estop = true :: contact = true :: stop_asked = true :: fault = true :: policy_lost = true \
       :: operator_lost = true :: bad_command = true :: clipped = true :: skip fi

/* what would count in standby, or in the mode that is asked for */
#define STANDING (estop || stop_asked || (mode != SILENT && (contact || fault)))
#define AGAINST(m) (estop || stop_asked || contact || fault || (m == AUTONOMOUS && policy_lost) || (m == TELEOPERATED && operator_lost) || severity > WARN || (mode == SILENT && !at_rest))

inline world() {
    COMES;
    COMES;
    ANY(acknowledge); ANY(at_rest); ANY(hold_over); ANY(retract_over);
    if :: request = SILENT :: request = STANDBY :: request = AUTONOMOUS :: request = TELEOPERATED :: request = KEEP fi
}

inline escalate() {
    if
    :: severity == HOLD && hold_over && can_retract -> severity = RETRACT
    :: severity == HOLD && hold_over && !can_retract -> severity = STOP
    :: severity == RETRACT && retract_over -> severity = STOP
    :: else
    fi
}

inline latch() {
    if :: estop -> l_terminate = true; RAISE(TERMINATE) :: else fi;
    if :: stop_asked -> l_stop = true; RAISE(STOP) :: else fi;
    if :: mode != SILENT && contact -> l_contact = true; RAISE(STOP) :: else fi;
    if :: mode != SILENT && fault -> l_stop = true; RAISE(STOP) :: else fi;
    if :: (mode == AUTONOMOUS && policy_lost) || (mode == TELEOPERATED && operator_lost) || (MOVES(mode) && bad_command) ->
          l_hold = true; RAISE(HOLD)
       :: else fi;
    if :: MOVES(mode) && clipped -> l_warn = true; RAISE(WARN) :: else fi
}

inline acknowledged() {
    if
    :: acknowledge && !STANDING && severity != TERMINATE ->
        if :: severity > WARN && mode != SILENT -> mode = STANDBY :: else fi;
        severity = NONE;
        l_contact = false; l_stop = false; l_hold = false; l_warn = false
    :: else
    fi
}

inline requested() {
    if
    :: request == KEEP || request == mode
    :: request > STANDBY && request != KEEP && request != mode && !AGAINST(request) -> mode = request
    :: request > STANDBY && request != KEEP && request != mode && AGAINST(request)
    :: request == STANDBY && MOVES(mode) -> mode = STANDBY
    :: request == STANDBY && mode == SILENT && !AGAINST(STANDBY) -> mode = STANDBY
    :: request == STANDBY && mode == SILENT && AGAINST(STANDBY)
    :: request == SILENT && mode != SILENT && at_rest -> mode = SILENT
    :: request == SILENT && mode != SILENT && !at_rest -> mode = STANDBY
    fi;
    if :: severity == TERMINATE && at_rest -> mode = SILENT :: else fi
}

active proctype cycle() {
    ANY(can_retract);
    do
    :: atomic {
        world();
        was_mode = mode; was_severity = severity;
        escalate(); latch(); acknowledged(); requested();
        began = MOVES(mode) && mode != was_mode;

        /* 1: only an acknowledgement lowers severity, to none, and never from terminate */
        assert(severity >= was_severity || (acknowledge && severity == NONE && was_severity != TERMINATE));
        /* 3: severity covers all that is latched */
        assert(!l_terminate || severity == TERMINATE);
        assert(!(l_contact || l_stop) || severity >= STOP);
        assert(!l_hold || severity >= HOLD);
        assert(!l_warn || severity >= WARN);
        assert((severity == NONE) == !(l_terminate || l_contact || l_stop || l_hold || l_warn));
        /* 5: an emergency stop terminates, in its own cycle */
        assert(!estop || severity == TERMINATE);
        /* 7: nothing is began with a fault latched or present */
        assert(!began || (severity <= WARN && !estop && !contact && !fault && !stop_asked));
        assert(!(began && mode == AUTONOMOUS && policy_lost) && !(began && mode == TELEOPERATED && operator_lost));
        assert(!(was_mode == SILENT && mode != SILENT) || at_rest);
        /* 8: torque goes off at rest only */
        assert(!(was_mode != SILENT && mode == SILENT) || at_rest);
        /* 12: after contact nothing retracts */
        assert(!l_contact || severity >= STOP);

        /* what came is over, so that it is no part of the state */
        estop = false; contact = false; stop_asked = false; fault = false;
        policy_lost = false; operator_lost = false; bad_command = false; clipped = false;
        acknowledge = false; at_rest = false; hold_over = false; retract_over = false;
        request = KEEP; was_mode = SILENT; was_severity = NONE
    }
    od
}

/* 6: terminate is for ever */
ltl absorbing { [] (severity == TERMINATE -> [] (severity == TERMINATE)) }
/* and from then on nothing begins to move */
ltl silenced { [] (severity == TERMINATE -> [] !began) }
/* it can be reached: spin must find this wrong */
ltl unreachable { [] (severity != TERMINATE) }
/* motion can, too: otherwise everything above would hold of a machine that does nothing */
ltl motionless { [] !began }
/* recovery can: from a stop to moving again */
ltl stuck { [] (severity == STOP -> [] !began) }

#!/bin/sh
# task_sheets.sh [OUT [TASK...]] - the contact sheets of docs/TASKS.md: every task's expert at work, eight moments from seed 7.
set -e
cd "$(dirname "$0")/.."
out=${1:-docs/img/tasks}
[ $# -gt 0 ] && shift
wanted=" $* "
program=${FLYWHEEL:-build/dev/bin/flywheel}
mkdir -p "$out"
sheet() { # SUITE TASK [FLAG...]
    suite=$1 task=$2
    shift 2
    case "$wanted" in
    "  " | *" $task "*) "$program" sim show --suite "$suite" --task "$task" --seed 7 --sheet "$out/$task.png" "$@" ;;
    esac
}
sheet kitchen3 plate_in_sink
sheet kitchen3 mug_in_sink
sheet kitchen3 banana_on_plate
sheet kitchen4 bowl_in_sink --randomise default # a noisy camera's pictures are large files
sheet table block_on_tray
sheet furniture3 put_in_drawer
sheet furniture3 wipe_spill
sheet furniture3 make_coffee
sheet bus bus_table
sheet place set_place
sheet laundry fold_towel
sheet laundry fold_garment
sheet packing fold_carton
sheet packing tuck_flaps
sheet salad gather_salad --randomise default
sheet cr5_twin banana_twin

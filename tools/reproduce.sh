#!/bin/sh
# reproduce.sh NAME OUT [DATASET] - the weights of models/NAME, from nothing (kitchen3, kitchen4) or from a dataset (cr5).
#
#   tools/reproduce.sh kitchen3 out/kitchen3
#   tools/reproduce.sh kitchen4 out/kitchen4
#   tools/reproduce.sh cr5 out/cr5 PATH/TO/cr5_banana_plate
#
# Every step resumes: run it again after an interruption. The folder that training writes is what ships in models/NAME.
# shellcheck disable=SC2086 # $dataset is a list of folders, $resume may be nothing
set -e
cd "$(dirname "$0")/.."
name=${1:-} out=${2:-} dataset=${3:-}
[ -n "$name" ] && [ -n "$out" ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
make -s all
fw=bin/flywheel
start=$(date +%s)
case $name in
kitchen3 | kitchen4)
    [ "$name" = kitchen3 ] && episodes=1500 || episodes=1000
    dataset=
    for seed in 1 2; do
        data=$out/data$seed
        [ -d "$data" ] && resume=--resume || resume=
        $fw sim make --suite "$name" --episodes $episodes --seed $seed --out "$data" $resume
        dataset="$dataset $data"
    done
    ;;
cr5)
    [ -n "$dataset" ] || { echo "reproduce: cr5 is trained on recordings: give their folder as the third argument" >&2; exit 2; }
    ;;
*)
    echo "reproduce: no recipe called '$name': kitchen3, kitchen4 or cr5" >&2
    exit 2
    ;;
esac
[ -d "$out/model/train" ] && resume=--resume || resume=
$fw train --config "configs/$name.json" --data $dataset --out "$out/model" $resume
case $name in
cr5) $fw eval --policy "$out/model" --data $dataset --last 8 ;;
kitchen3) $fw eval --policy "$out/model" --suite kitchen3 --episodes 100 --seed 100000 ;;
kitchen4)
    judge="$fw eval --policy $out/model --suite kitchen4 --episodes 50 --seed 100000"
    $judge
    $judge --homes 1000000:64 # homes that are in no training data
    for domain in held_visual held_physics held_engine; do
        $judge --domain $domain
    done
    ;;
esac
echo "reproduce: $(($(date +%s) - start)) s; weights in $out/model" >&2

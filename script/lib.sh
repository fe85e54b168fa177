# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: packages, build folder, the few words they share.
set -eu
# --help: the comment at the head of the script, and nothing is built. script/bench has more to say.
case $(basename "$0"):${1:-} in
bench:*) ;;
*:-h | *:--help)
        sed -n '3,/^[^#]/{/^[^#]/q;s/^# \{0,1\}//;p;}' "$0"
        exit 0
        ;;
esac
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"

# libc6-dev by name: --no-install-recommends leaves it out of gcc.
build_packages="gcc libc6-dev meson ninja-build pkg-config python3 libuv1-dev libinih-dev libyaml-dev libsodium-dev libjansson-dev
 libsqlite3-dev check"
# unshare, setsid; ps; the model checker
test_packages="util-linux procps spin"

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# Installs what is missing and calls apt only then.
ensure_packages() {
        missing=
        for p in "$@"; do
                dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
        done
        [ -n "$missing" ] || return 0
        sudo=
        if [ "$(id -u)" -ne 0 ]; then
                command -v sudo >/dev/null || die "packages are missing and there is no sudo; as root: apt-get install$missing"
                sudo=sudo
        fi
        say "installing:$missing"
        $sudo apt-get update -qq || die "apt-get update failed"
        DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
                die "could not install:$missing"
}

# One build folder a user, so that root and an ordinary user can share a checkout.
build_dir() {
        if [ -n "${GUARDIAN_BUILD:-}" ]; then
                echo "$GUARDIAN_BUILD"
        elif [ ! -e build ] || [ -w build ] && [ "$(stat -c %u build 2>/dev/null || id -u)" = "$(id -u)" ]; then
                echo build
        else
                echo "build-$(id -u)"
        fi
}

# clang with its runtime library (sanitizers, libFuzzer), which is a package of its own.
ensure_clang() {
        ensure_packages clang
        ensure_packages "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
}

# build [meson options]: the programs, in $build/stage afterwards.
build() {
        build=$(build_dir)
        compile "$@"
}

# compile [CC=compiler] [meson options]: configures the folder $build once and compiles it, or only its targets $goals.
compile() {
        # Debian's tools, not those of a language manager that stands first on PATH.
        PATH=/usr/bin:$PATH
        export PATH
        log=$(mktemp "${TMPDIR:-/tmp}/guardian-build.XXXXXX")
        trap 'rm -f "$log"' EXIT
        if [ ! -e "$build/build.ninja" ]; then
                say "configuring $build"
                cc=
                case ${1:-} in CC=*) cc=$1; shift ;; esac
                env $cc meson setup "$build" "$@" >"$log" 2>&1 || { cat "$log" >&2; die "meson setup failed"; }
        fi
        say "building $build"
        meson compile -C "$build" ${goals:-} >"$log" 2>&1 || { tail -n 60 "$log" >&2; die "the build failed"; }
        rm -f "$log"
        stage=$top/$build/stage
        case $build in /*) stage=$build/stage ;; esac
}

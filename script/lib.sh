# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: packages, build folder, the few words they share.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"

build_packages="gcc meson ninja-build pkg-config python3 libuv1-dev libinih-dev libyaml-dev libseccomp-dev libsodium-dev
 libjansson-dev libsqlite3-dev check"

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

# build [meson options]: configures once, compiles; the programs stand in $build/stage afterwards.
build() {
        build=$(build_dir)
        # Debian's tools, not those of a language manager that stands first on PATH.
        PATH=/usr/bin:$PATH
        export PATH
        log=${TMPDIR:-/tmp}/guardian-build-$(id -u).log
        if [ ! -e "$build/build.ninja" ]; then
                say "configuring $build"
                meson setup "$build" "$@" >"$log" 2>&1 || { cat "$log" >&2; die "meson setup failed"; }
        fi
        say "building $build"
        meson compile -C "$build" >"$log" 2>&1 || { tail -n 60 "$log" >&2; die "the build failed"; }
        stage=$top/$build/stage
        case $build in /*) stage=$build/stage ;; esac
}

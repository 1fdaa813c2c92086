#!/usr/bin/env bash
# need.sh TOOL... makes sure that each tool is there: installs it where that is known to work (Debian and its kin, as
# root), and otherwise says what is missing and exits 1.
set -euo pipefail
cd "$(dirname "$0")/.."

# The Debian package of a tool.
package_of() {
	case $1 in
	node) echo nodejs ;;
	ip) echo iproute2 ;;
	nft) echo nftables ;;
	go) echo golang-go ;;
	python3-venv) echo python3-venv ;;
	*) echo "$1" ;;
	esac
}

there() {
	case $1 in
	python3-venv) python3 -c 'import venv, ensurepip' 2>/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install_packages() {
	if ! can_install; then
		echo "need: $* missing: install it (on Debian as root it is installed by itself)" >&2
		exit 1
	fi
	echo "need: installing $*" >&2
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -q && apt-get install -q -y --no-install-recommends "$@"; } >.cache/apt.log 2>&1 || {
		tail -n 20 .cache/apt.log >&2
		exit 1
	}
}

# The aws command comes from PyPI, into a folder of this checkout's own.
install_aws() {
	there python3 || install_packages python3
	there python3-venv || install_packages python3-venv
	echo "need: installing the aws command into .cache/tools" >&2
	python3 -m venv .cache/tools
	.cache/tools/bin/pip install --quiet --disable-pip-version-check 'awscli>=1.40,<2'
}

mkdir -p .cache
missing=()
for tool in "$@"; do
	if there "$tool"; then continue; fi
	if [ "$tool" = aws ]; then
		install_aws
	else
		missing+=("$(package_of "$tool")")
	fi
done
if [ ${#missing[@]} -gt 0 ]; then install_packages "${missing[@]}"; fi

if [[ " $* " == *" go "* ]]; then
	# An older go command fetches the toolchain that go.mod asks for, unless it is too old to know how (before 1.21).
	go version | grep -qE 'go1\.(2[1-9]|[3-9][0-9])' || {
		echo "need: $(go version) is too old: install Go $(awk '$1 == "go" { print $2 }' go.mod) or newer" >&2
		exit 1
	}
fi

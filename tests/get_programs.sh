# Install what is missing of these Debian packages, each called as its command: sh tests/get_programs.sh tmux chromium
set -eu
missing=
for program in "$@"; do
    command -v "$program" > /dev/null || missing="$missing $program"
done
if [ -z "$missing" ]; then
    exit 0
fi
if command -v apt-get > /dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
else
    echo "some tests need$missing, and fail without: install it (Debian: sudo apt install$missing)" >&2
fi

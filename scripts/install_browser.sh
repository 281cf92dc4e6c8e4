#!/usr/bin/env bash
# A Chromium for the browser tests: one that is there, else Debian's, else Playwright's own.
# usage: install_browser.sh VENV
set -euo pipefail
if [ -n "${TR_CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then
  exit 0
fi
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -qq
  # The emoji font is for the tests that show what a prompt in emoji looks like.
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    chromium fonts-dejavu-core fonts-noto-color-emoji >/dev/null
else
  "$1/bin/python" -m playwright install chromium
fi

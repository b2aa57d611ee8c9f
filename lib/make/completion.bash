# Sourced by bash as a part of what lib/make/install.py writes: the days and channels of the folder of days that a line
# names, or of ./out.
# shellcheck shell=bash

_framemake_out() {
  local word
  for word in "${COMP_WORDS[@]:1}" out; do
    word=${word/#\~\//$HOME/}
    if [[ -d $word ]] && compgen -G "$word/*-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]" >/dev/null; then
      printf '%s\n' "$word"
      return
    fi
  done
}

_framemake_days() { # WORD
  local out
  out=$(_framemake_out)
  [[ ! $out ]] || printf '%s\n' "$out"/*-[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] |
    sed 's/.*\(..........\)$/\1/' | sort -u | awk -v word="$1" 'index($0, word) == 1'
}

# Those of the newest day.
_framemake_channels() { # WORD
  local out list
  out=$(_framemake_out)
  [[ $out ]] || return 0
  for list in "$out"/*/channels_info/valid_channels.txt; do :; done
  awk -v word="$1" 'index($0, word) == 1' "$list" 2>/dev/null
}

# bash breaks a word at a colon, and a channel has one: it is joined, and what is typed of it is cut off again.
_framemake() { # FUNCTION
  local words=() at=0 number typed
  for ((number = 0; number < ${#COMP_WORDS[@]}; number++)); do
    if ((number)) && [[ ${COMP_WORDS[number]} == :* || ${COMP_WORDS[number - 1]} == *: ]]; then
      words[-1]+=${COMP_WORDS[number]}
    else
      words+=("${COMP_WORDS[number]}")
    fi
    ((number != COMP_CWORD)) || at=$((${#words[@]} - 1))
  done
  local COMP_WORDS=("${words[@]}") COMP_CWORD=$at
  "$1"
  typed=${words[at]}
  if [[ $COMP_WORDBREAKS == *:* && $typed == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${typed%"${typed##*:}"}"}")
  fi
}

package main

import (
	"cmp"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// sparkWidth is how many characters a sparkline has at most.
const sparkWidth = 56

var (
	blocks = []rune(" ▁▂▃▄▅▆▇█")
	plain  = []rune(" .:-=+*#@")
)

// sparkLevels are blocks on a terminal that shows UTF-8, and else ASCII.
func sparkLevels() []rune {
	locale := cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG"))
	locale = strings.ToUpper(strings.ReplaceAll(locale, "-", ""))
	if isatty.IsTerminal(os.Stdout.Fd()) && strings.Contains(locale, "UTF8") {
		return blocks
	}
	return plain
}

// sparkline draws counts by the hour, several hours in a character where they are many. Only no call at all is the first
// level. The dots at both ends show where it begins and ends.
func sparkline(hourly []int, levels []rune) string {
	each := max((len(hourly)+sparkWidth-1)/sparkWidth, 1)
	var sums []int
	most := 0
	for end := len(hourly); end > 0; end -= each { // the last character is the newest, and whole
		sum := 0
		for _, n := range hourly[max(end-each, 0):end] {
			sum += n
		}
		sums, most = append(sums, sum), max(most, sum)
	}
	line := make([]rune, len(sums))
	for i, sum := range sums {
		level := 0
		if sum > 0 {
			level = 1 + (len(levels)-2)*(sum-1)/max(most-1, 1)
		}
		line[len(line)-1-i] = levels[level]
	}
	return "|" + string(line) + "|"
}

package main

import (
	"errors"
	"strconv"
)

// countFlag is a number of one or more. 0, which is that of a flag that is not given,
// cannot be given: a script that has computed it does not mean any number.
type countFlag int

// Set reads the number.
func (f *countFlag) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("a number of 1 or more would be right")
	}
	*f = countFlag(n)
	return nil
}

func (f *countFlag) String() string { return strconv.Itoa(int(*f)) }

// Type is shown in the help.
func (f *countFlag) Type() string { return "int" }

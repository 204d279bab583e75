package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// separator stands between the values of one flag once joinWords has put them into one argument: no argument of a
// program can hold it.
const separator = "\x00"

// words is a flag that takes several values, --scopes a b, as az's do. What repeats is added.
type words struct{ v *[]string }

func (w words) String() string {
	if w.v == nil {
		return ""
	}
	return strings.Join(*w.v, " ")
}

func (w words) Set(s string) error {
	*w.v = append(*w.v, strings.Split(s, separator)...)
	return nil
}

func (words) Type() string { return "a b …" }

// wordLists is a flag that takes several values each time it is given: --repository app content/read content/write.
type wordLists struct{ v *[][]string }

func (w wordLists) String() string {
	if w.v == nil || len(*w.v) == 0 {
		return ""
	}
	return fmt.Sprint(*w.v)
}

func (w wordLists) Set(s string) error {
	*w.v = append(*w.v, strings.Split(s, separator))
	return nil
}

func (wordLists) Type() string { return "a b …" }

// truthFlag is a flag that is true when given alone, and else takes true or false.
func truthFlag(cmd *cobra.Command, v **bool, name, usage string) {
	f := cmd.Flags()
	f.Var(truth{v}, name, usage)
	f.Lookup(name).NoOptDefVal = "true"
}

// joinWords makes one argument of a flag and the values that follow it, where the flag takes several or may stand
// alone. All other arguments stay as they are.
func joinWords(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil {
		return args
	}
	var out []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...)
		}
		n := valuesAfter(cmd, args[i:])
		if n == 0 {
			out = append(out, args[i])
			continue
		}
		out = append(out, args[i]+"="+strings.Join(args[i+1:i+1+n], separator))
		i += n
	}
	return out
}

// valuesAfter is how many of the arguments behind the first belong to it.
func valuesAfter(cmd *cobra.Command, args []string) int {
	flag := flagOf(cmd, args[0])
	if flag == nil {
		return 0
	}
	switch flag.Value.(type) {
	case words, wordLists:
		n := slices.IndexFunc(args[1:], func(s string) bool { return strings.HasPrefix(s, "-") })
		if n < 0 {
			n = len(args) - 1
		}
		return n
	case truth:
		if len(args) > 1 && (strings.EqualFold(args[1], "true") || strings.EqualFold(args[1], "false")) {
			return 1
		}
	}
	return 0
}

// flagOf finds the flag that an argument is, by its name or its letter, without a value behind it.
func flagOf(cmd *cobra.Command, arg string) *pflag.Flag {
	if name, long := strings.CutPrefix(arg, "--"); long {
		return cmd.Flags().Lookup(name)
	}
	if letter, short := strings.CutPrefix(arg, "-"); short && len(letter) == 1 {
		return cmd.Flags().ShorthandLookup(letter)
	}
	return nil
}

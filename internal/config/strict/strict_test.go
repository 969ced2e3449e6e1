package strict

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type sample struct {
	Name   string   `yaml:"name" default:"x"`
	On     bool     `yaml:"on"`
	Count  int      `yaml:"count" default:"3"`
	List   []string `yaml:"list"`
	Inner  inner    `yaml:"inner"`
	Things []thing  `yaml:"things"`
	Pairs  []pair   `yaml:"pairs"`
	Half   half     `yaml:"half"`

	Other int // not of the file
}

type inner struct {
	Word     string `yaml:"word"`
	WordFile string `yaml:"word_file"`
	Password string `yaml:"password,secret"`
}

type thing struct {
	Name string `yaml:",key"`
	Addr string `yaml:"addr,short"`
	Size int    `yaml:"size" default:"7"`
}

type pair struct {
	From string `yaml:",key"`
	To   string `yaml:",short"`
}

// half takes a text whose first half is right.
type half string

func (h *half) UnmarshalText(b []byte) error {
	if len(b) > 3 {
		return &OffsetError{Offset: 3, Err: errors.New("it ends here")}
	}
	*h = half(b)
	return nil
}

func bind(t *testing.T, text string, over ...Override) (sample, *Values) {
	t.Helper()
	d, err := Parse("f", []byte(text))
	require.NoError(t, err)
	var s sample
	v := Bind(d, &s, over...)
	return s, v
}

func refusal(t *testing.T, text string, over ...Override) string {
	t.Helper()
	d, err := Parse("f", []byte(text))
	if err == nil {
		err = Bind(d, &sample{}, over...).Err()
	}
	var r *Refused
	require.ErrorAs(t, err, &r)
	return r.Error()
}

func TestAColonDividesOnlyWhereASpaceFollows(t *testing.T) {
	for text, want := range map[string][]string{
		"list: [127.0.0.1:1, http://b:2]": {"127.0.0.1:1", "http://b:2"},
		"{list: [127.0.0.1:1]}":           {"127.0.0.1:1"},
		"{list: [a, b:c:d, http://b:2]}":  {"a", "b:c:d", "http://b:2"},
		"list:\n- a:1\n- b:2":             {"a:1", "b:2"},
	} {
		s, v := bind(t, text)
		require.NoError(t, v.Err(), text)
		require.Equal(t, want, s.List, text)
	}
	require.Contains(t, refusal(t, "{list: [a: 1]}"), "one value is wanted here (text), this is a mapping")
}

func TestASectionMayHaveKeysThatItsPackageDoesNotKnow(t *testing.T) {
	type more struct {
		Word  string `yaml:"word"`
		Count int    `yaml:"count" default:"3"`
		Inner inner  `yaml:"inner"`
	}
	type open struct {
		Name string `yaml:"name"`
		More any    `yaml:",inline"`
	}
	d, err := Parse("f", []byte("{name: n, word: w, inner: {word: x}}"))
	require.NoError(t, err)
	o := open{More: &more{}}
	v := Bind(d, &o, Override{Path: "inner.password", Text: "hunter2"}, Override{Path: "count", Text: "4"})
	require.NoError(t, v.Err())
	require.Equal(t, &more{Word: "w", Count: 4, Inner: inner{Word: "x", Password: "hunter2"}}, o.More)
	var shown []string
	for _, s := range v.All(o) {
		shown = append(shown, s.Path+"="+s.Text)
	}
	require.Equal(t, []string{"name=n", "word=w", "count=4", "inner.word=x", "inner.word_file=", "inner.password=(hidden)"}, shown)
	require.Error(t, Bind(d, &open{}).Err(), "without it they are not known")
}

func TestAFileBecomesAStruct(t *testing.T) {
	s, v := bind(t, `
on: true
list: [a, "b, c"]
inner: {word: w}
things:
  one: here
  two: {addr: there, size: 9}
  three:
pairs: {"x:": y}
`)
	require.NoError(t, v.Err())
	require.Equal(t, sample{
		Name: "x", On: true, Count: 3, List: []string{"a", "b, c"}, Inner: inner{Word: "w"},
		Things: []thing{{"one", "here", 7}, {"two", "there", 9}, {"three", "", 7}}, Pairs: []pair{{"x:", "y"}},
	}, s)
}

func TestEveryValueKnowsWhereItIsFrom(t *testing.T) {
	env := Origin{From: Env, Name: "TRIAD_COUNT"}
	s, v := bind(t, "name: n\ncount: 1\nthings: {one: here}\n", Override{"count", "5", env}, Override{"list", "a, b", Origin{From: Flag, Name: "--list"}})
	require.NoError(t, v.Err())
	require.Equal(t, 5, s.Count)
	from := map[string]string{}
	for _, x := range v.All(s) {
		from[x.Path] = x.Text + " " + x.Origin.String()
	}
	require.Equal(t, map[string]string{
		"name": "n f:1:7", "on": "false default", "count": "5 TRIAD_COUNT", "list": "[a, b] --list", "half": " default",
		"inner.word": " default", "inner.word_file": " default", "things.one.addr": "here f:3:15", "things.one.size": "7 default",
	}, from)
	require.True(t, v.Given("name"))
	require.False(t, v.Given("on"))
}

func TestTheLaterOverrideWins(t *testing.T) {
	s, v := bind(t, "count: 1", Override{"count", "2", Origin{From: Env}}, Override{"count", "3", Origin{From: Flag}})
	require.NoError(t, v.Err())
	require.Equal(t, 3, s.Count)
}

func TestAnOverrideIsAsStrictAsAFile(t *testing.T) {
	at := Origin{From: Flag, Name: "--count"}
	require.Equal(t, `--count: count: a number from 0 to 2147483647 is wanted here, not "many"`, refusal(t, "count: 1", Override{"count", "many", at}))
	require.Equal(t, `--count: there is no key "things.one.addr"`, refusal(t, "count: 1", Override{"things.one.addr", "x", at}))
}

func TestASecretIsTakenFromElsewhereAndNeverShown(t *testing.T) {
	s, v := bind(t, "name: n", Override{"inner.password", "hunter2", Origin{From: Env, Name: "TRIAD_INNER_PASSWORD"}})
	require.NoError(t, v.Err())
	require.Equal(t, "hunter2", s.Inner.Password)
	shown, err := json.Marshal(v.All(s))
	require.NoError(t, err)
	require.NotContains(t, string(shown), "hunter2")
	require.Contains(t, string(shown), Hidden)
	require.Contains(t, fmt.Sprint(v.Raw(s)), "hunter2", "else a change of it would not be seen")
}

func TestNoFindingShowsASecret(t *testing.T) {
	for _, text := range []string{
		"inner: {password: hunter2}",
		"inner: {pasword: hunter2}",
		"inner:\n  password: hunter2",
		"inner: {password: hunter2, word: 5}",
		"{\"password\": hunter2, on: maybe}",
		"admin_token: hunter2",
		"inner: {password: \"hunter2",
		"inner: {password: hunter2}}",
		"inner: {word: [], password : hunter2}",
	} {
		d, err := Parse("f", []byte(text))
		if err == nil {
			err = Bind(d, &sample{}).Err()
		}
		var r *Refused
		require.ErrorAs(t, err, &r, text)
		require.NotContains(t, r.Report(), "hunter2", text)
	}
}

func TestFaultsPointAtTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"half: abcdef":           "f:1:10: half: it ends here",
		"half: 'abcdef'":         "f:1:7: half: it ends here", // within quotes characters may be escaped
		"nmae: x":                `f:1:1: unknown key "nmae"; did you mean name?`,
		"inner: {wrod: x}":       `f:1:9: inner: unknown key "wrod"; did you mean word?`,
		"inner: {name: x}":       `f:1:9: inner: unknown key "name" here; name stands at the top of the file`,
		"word: x":                `f:1:1: unknown key "word"; did you mean inner.word?`,
		"inner: {pasword: x}":    `f:1:9: inner: unknown key "pasword"; did you mean password_file?`,
		"things: {one: {zz: 1}}": `f:1:16: things.one: unknown key "zz"; known here are addr, size`,
		"name: 5":                "f:1:7: name: text is wanted here, this is the number 5; put it in quotes if it is meant",
		"on: yes":                `f:1:5: on: true or false is wanted here, not "yes"`,
		"count: -1":              `f:1:8: count: a number from 0 to 2147483647 is wanted here, not "-1"`,
		"count: 99999999999":     `f:1:8: count: a number from 0 to 2147483647 is wanted here, not "99999999999"`,
		"name:":                  "f:1:1: name: the key has no value; give it one or drop it",
		"list: a":                "f:1:7: list: a list is wanted here, as in [x, y]; this is one value",
		"things: [a]":            "f:1:9: things: a mapping of keys to values is wanted here, this is a list",
		"name: {a: b}":           "f:1:7: name: one value is wanted here (text), this is a mapping",
		"name: x\nname: y":       "f:2:1: name: this key stands twice; the first is on line 1",
		`things: {"a.b": 5}`:     `f:1:17: things."a.b".addr: text is wanted here, this is the number 5; put it in quotes if it is meant`,
	} {
		require.Equal(t, want, refusal(t, text), text)
	}
}

func TestTheCaretStandsUnderThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"on: yes":       "     1 | on: yes\n       |     ^\n",
		"näme: x":       "     1 | näme: …\n       | ^\n",
		"{ö: x, on: 3}": "     1 | {ö: …\n       |  ^\n",
	} {
		d, err := Parse("f", []byte(text))
		require.NoError(t, err)
		var r *Refused
		require.ErrorAs(t, Bind(d, &sample{}).Err(), &r)
		require.Equal(t, want, r.Findings[0].Excerpt())
	}
}

func TestALongLineIsShownAroundThePlace(t *testing.T) {
	f := Finding{At: Origin{From: File, Line: 1, Column: 5000}, line: strings.Repeat("a", 4999) + "X" + strings.Repeat("b", 5000)}
	lines := strings.Split(f.Excerpt(), "\n")
	require.Less(t, len(lines[0]), 200)
	require.Equal(t, "X", lines[0][strings.Index(lines[1], "^"):][:1])
}

func TestLimits(t *testing.T) {
	long := "# " + strings.Repeat("x", FileBytesMax-11) + "\non: true"
	require.Len(t, long, FileBytesMax)
	_, err := Parse("f", []byte(long))
	require.NoError(t, err)
	require.Contains(t, refusal(t, long+"\n"), "longer than 256 KiB")

	nested := func(n int) string { return "list: " + strings.Repeat("[", n) + strings.Repeat("]", n) }
	_, err = Parse("f", []byte(nested(DepthMax)))
	require.NoError(t, err)
	require.Contains(t, refusal(t, nested(DepthMax+1)), "nests deeper than 12 levels")
	require.Contains(t, refusal(t, nested(10_000)), "nests deeper than 12 levels")
	require.Contains(t, refusal(t, "list:\n  "+strings.Repeat("- ", 10_000)+"x"), "nests deeper than 12 levels")
	var block strings.Builder
	for i := range DepthMax + 2 {
		block.WriteString(strings.Repeat(" ", i) + "k:\n")
	}
	require.Contains(t, refusal(t, block.String()), "nests deeper than 12 levels")

	require.Contains(t, refusal(t, "list: ["+strings.Repeat("a,", TokensMax)+"a]"), "more than 32768 words and signs")

	var many strings.Builder
	for i := range findingsMax + 5 {
		fmt.Fprintf(&many, "zz%d: 1\n", i)
	}
	said := strings.Split(refusal(t, many.String()), "\n")
	require.Len(t, said, findingsMax+1)
	require.Equal(t, "f: and 5 more", said[findingsMax])
}

func TestFormsThatAConfigurationDoesWithout(t *testing.T) {
	for text, want := range map[string]string{
		"a: &x 1":          "an anchor",
		"a: *x":            "an alias",
		"<<: {a: 1}":       "a merge key",
		"a: !!int 1":       "a tag",
		"%YAML 1.2\n---\n": "a directive",
		"? a\n: b":         "a complex key",
		"a: |\n  x":        "a block of text",
		"a: >\n  x":        "a block of text",
		"a: 1\n---\nb: 2":  "a second document",
		"\"\": x":          "this key is empty",
		"~: x":             "this is no key",
		"a: \x01":          "the control character U+0001",
		"a: 1\rb: 2":       "the control character U+000D",
		"a: \u2028":        "the control character U+2028",
		"\ta: 1":           "a tab",
		"":                 "the file is empty",
		" \n\n":            "the file is empty",
		"---\n":            "the file holds no key",
		"word":             "a mapping of keys to values",
	} {
		require.Contains(t, refusal(t, text), want, "%q", text)
	}
}

func TestALeadingDocumentMarkAndTabsInCommentsAreTaken(t *testing.T) {
	s, v := bind(t, "---\nname: n #\tsaid\n")
	require.NoError(t, v.Err())
	require.Equal(t, "n", s.Name)
}

func TestKeysAreThoseOfTheStruct(t *testing.T) {
	var paths []string
	for _, k := range Keys(sample{}) {
		paths = append(paths, fmt.Sprintf("%s|%s|%s|%t", k.Path, k.Type, k.Default, k.Single))
	}
	require.Equal(t, []string{
		"name|text|x|true", "on|true or false||true", "count|number|3|true", "list|list of text||true",
		"inner.word|text||true", "inner.word_file|text||true", "inner.password|text||true",
		"things.<name>.addr|text||false", "things.<name>.size|number|7|false", "pairs.<name>|text||false", "half|text||true",
	}, paths)
}

func TestNearest(t *testing.T) {
	words := []string{"sync", "durability", "kind", "warn", "join"}
	for word, want := range map[string]string{
		"snyc": "sync", "synk": "sync", "durabilty": "durability", "warning": "warn", "dura": "durability",
		"kindd": "kind", "x": "", "": "", "something": "", "jion": "join",
		strings.Repeat("sync", 100): "",
	} {
		require.Equal(t, want, Nearest(word, words), word)
	}
}

func TestNamesOfVariablesAndFlags(t *testing.T) {
	require.Equal(t, "TRIAD_LIMITS_LOG_TAIL_BYTES", Variable("limits.log_tail_bytes"))
	require.Equal(t, "limits-log-tail-bytes", FlagName("limits.log_tail_bytes", "-"))
}

package arch

import (
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/triad-kv/triad"

// exceptionsMax is how many exceptions there may be. It is lowered with the
// list and never raised without a word in the commit that does.
const exceptionsMax = 1

func house(t *testing.T) *tree {
	t.Helper()
	tr, err := load(filepath.Join("..", ".."), module)
	require.NoError(t, err)
	require.NotEmpty(t, tr.files)
	return tr
}

func exceptions(t *testing.T) []exception {
	t.Helper()
	b, err := os.ReadFile("exceptions.txt")
	require.NoError(t, err)
	list, err := parseExceptions(string(b))
	require.NoError(t, err)
	return list
}

func TestTheHouseKeepsItsRules(t *testing.T) {
	tr := house(t)
	var found []finding
	for _, check := range rules {
		found = append(found, check(tr)...)
	}
	for _, f := range sorted(excuse(found, exceptions(t))) {
		t.Error(f)
	}
}

func TestTheListOfExceptionsDoesNotGrow(t *testing.T) {
	require.LessOrEqual(t, len(exceptions(t)), exceptionsMax)
}

func TestEveryCoreOfTheTableExistsOnceItsEngineDoes(t *testing.T) {
	tr := house(t)
	has := map[string]bool{}
	for _, f := range tr.files {
		has[f.dir] = has[f.dir] || isCore(f)
	}
	for dir := range cores {
		_, engine := has[path.Dir(dir)]
		if here, ok := has[dir]; ok || engine && path.Base(dir) == "core" {
			require.True(t, here, "%s has code but no core: name it in cores.go", dir)
		}
	}
}

func TestNoTwoRoomsClaimOnePlace(t *testing.T) {
	for _, dir := range house(t).dirs() {
		n := 0
		for _, r := range rooms {
			if covers(r.at, dir) {
				n++
			}
		}
		require.LessOrEqual(t, n, 1, dir)
	}
}

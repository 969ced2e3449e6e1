package crashfs

import "strings"

// names are files and directories by their path.
type names map[string]entry

// entry is a name in a directory; of the root's, up is nil.
type entry struct{ i, up *inode }

// clean makes one spelling of a path.
func clean(path string) string {
	if path = strings.Trim(path, "/"); path == "." {
		return ""
	}
	return path
}

// above is the directory of a clean path, empty for the root.
func above(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

// enter makes path a name of i.
func (ns names) enter(path string, i *inode) {
	path = clean(path)
	ns[path] = entry{i: i, up: ns[above(path)].i}
}

func (ns names) mkdir(path string) {
	if path = clean(path); path != "" && ns[path].i == nil {
		ns.mkdir(above(path))
		ns.enter(path, &inode{dir: true})
	}
}

func (ns names) move(from, to string) {
	ns.enter(to, ns[clean(from)].i)
	delete(ns, clean(from))
}

// drop removes a name and all below it.
func (ns names) drop(path string) {
	for p := range ns {
		if p == clean(path) || strings.HasPrefix(p, clean(path)+"/") {
			delete(ns, p)
		}
	}
}

// settle makes the names in a directory what they are in now.
func (ns names) settle(dir string, now names) {
	for path := range ns {
		if above(path) == dir && now[path].i == nil {
			delete(ns, path)
		}
	}
	for path, e := range now {
		if above(path) == dir {
			ns[path] = e
		}
	}
}

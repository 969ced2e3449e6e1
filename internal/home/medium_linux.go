package home

import "syscall"

// File systems on which a sync does not mean what it should (bad input 74).
var doubtful = map[int64]string{
	0x6969:     "it is on NFS: locks and syncs depend on the server",
	0x517b:     "it is on SMB: locks and syncs depend on the server",
	0xff534d42: "it is on CIFS: locks and syncs depend on the server",
	0x01021994: "it is on tmpfs: it is gone after a restart of the machine",
	0x794c7630: "it is on an overlay: use a volume, whose syncs reach the disk",
}

// checkMedium returns what an operator should know of the file system under dir.
func checkMedium(dir string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return ""
	}
	return doubtful[int64(s.Type)]
}

package quorum

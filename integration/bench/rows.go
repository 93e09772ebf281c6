package main

// groups are the rows in their order. What a row needs it makes itself, so
// each group can be run alone.
func (b *bench) groups() []group {
	return append(b.treeGroups(), b.fileGroups()...)
}

// treeGroups work on many small files.
func (b *bench) treeGroups() []group {
	return []group{
		{{name: mountRow, plain: b.ssh("true")}},
		{
			{name: "find", mounted: b.find, plain: b.plainFind, goal: goal{sshfs: 4, ssh: 1.2}},
			{name: "find again", mounted: b.find},
		},
		{
			{name: "cp -r out", setup: b.clearLocal, mounted: b.copyOut, plain: b.plainCopyOut, check: b.checkCopyOut, goal: goal{sshfs: 15, ssh: 2}},
			{name: "cp -r out again", setup: b.clearLocal, mounted: b.copyOut, check: b.checkCopyOut},
		},
		{{name: "grep -r", mounted: b.grep, plain: b.plainGrep, goal: goal{sshfs: 15, ssh: 2}}},
		{
			{name: "git status", setup: b.restoreIndex, mounted: b.gitStatus, plain: b.plainGitStatus, goal: goal{sshfs: 15, ssh: 3}},
			{name: "git status again", mounted: b.gitStatus, goal: goal{sshfs: 10}},
		},
		{{name: "cp -r in", setup: b.clear("in"), mounted: b.copyIn, plain: b.plainTar("in"), check: b.sameAsTree("in"), goal: goal{sshfs: 2}}},
		{
			{name: "rsync -a in", setup: b.clear("synced"), mounted: b.rsync, plain: b.plainRsync, check: b.sameAsTree("synced"), goal: goal{sshfs: 5}},
			{name: "rsync -a in again", mounted: b.rsyncAgain, plain: b.plainRsyncAgain},
		},
		{{name: "tar x", setup: b.clear("untar"), mounted: b.untar, plain: b.plainTar("untar"), check: b.sameAsTree("untar"), goal: goal{sshfs: 4.5}}},
		{{name: "rm -rf", setup: b.makeDoomed, mounted: b.remove, plain: b.ssh("rm -rf " + b.served + "/doomed"), check: b.checkRemoved, goal: goal{sshfs: 1.25}}},
		{{name: "git clone", setup: b.clear("clone"), mounted: b.gitClone, check: b.checkClone}},
		{{name: "list many", mounted: b.listMany, plain: b.plainListMany}},
	}
}

// fileGroups work on large files, or within files.
func (b *bench) fileGroups() []group {
	near := b.cfg.size
	return []group{
		{{name: "sequential read", mounted: b.read, plain: b.plainRead, cpuPer: near, goal: goal{sshfs: 5, ssh: 1, sshfsNear: 2.5, sshNear: 1}}},
		{{name: "sequential write", setup: b.clear("written"), mounted: b.write, plain: b.plainWrite, check: b.sameAsLarge("written"),
			cpuPer: near, goal: goal{sshfs: 1, ssh: 1, sshfsNear: 2.5, sshNear: 1}}},
		{{name: "copy inside", setup: b.clear("copy"), mounted: b.copyInside, plain: b.plainCopyInside, check: b.sameAsLarge("copy"), goal: goal{sshfs: 4, ssh: 1.2}}},
		{{name: "200 random 4 KiB reads", mounted: b.randomReads}},
		{{name: "30 safe saves", setup: b.makeDocuments, mounted: b.safeSaves, check: b.checkDocuments, goal: goal{sshfs: 2}}},
		{{name: "10 stats during a read", mounted: b.statsDuringRead, goal: goal{sshfs: 1}}},
	}
}

// A goal is what a row is to reach; 0 is no goal.
type goal struct {
	sshfs float64 // at a distance: times as fast as sshfs, at least
	ssh   float64 // at a distance: times the time of plain ssh, at most
	// The same on loopback, where no row is to be slower than with sshfs.
	sshfsNear, sshNear float64
}

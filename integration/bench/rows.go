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
			{name: "find", mounted: b.find, plain: b.plainFind},
			{name: "find again", mounted: b.find},
		},
		{
			{name: "cp -r out", setup: b.clearLocal, mounted: b.copyOut, plain: b.plainCopyOut, check: b.checkCopyOut},
			{name: "cp -r out again", setup: b.clearLocal, mounted: b.copyOut, check: b.checkCopyOut},
		},
		{{name: "grep -r", mounted: b.grep, plain: b.plainGrep}},
		{
			{name: "git status", setup: b.restoreIndex, mounted: b.gitStatus, plain: b.plainGitStatus},
			{name: "git status again", mounted: b.gitStatus},
		},
		{{name: "cp -r in", setup: b.clear("in"), mounted: b.copyIn, plain: b.plainTar("in"), check: b.sameAsTree("in")}},
		{
			{name: "rsync -a in", setup: b.clear("synced"), mounted: b.rsync, plain: b.plainRsync, check: b.sameAsTree("synced")},
			{name: "rsync -a in again", mounted: b.rsyncAgain, plain: b.plainRsyncAgain},
		},
		{{name: "tar x", setup: b.clear("untar"), mounted: b.untar, plain: b.plainTar("untar"), check: b.sameAsTree("untar")}},
		{{name: "rm -rf", setup: b.makeDoomed, mounted: b.remove, plain: b.ssh("rm -rf " + b.served + "/doomed"), check: b.checkRemoved}},
		{{name: "git clone", setup: b.clear("clone"), mounted: b.gitClone, check: b.checkClone}},
		{{name: "list many", mounted: b.listMany, plain: b.plainListMany}},
	}
}

// fileGroups work on large files, or within files.
func (b *bench) fileGroups() []group {
	return []group{
		{{name: "sequential read", mounted: b.read, plain: b.plainRead, cpuPer: b.cfg.size}},
		{{name: "sequential write", setup: b.clear("written"), mounted: b.write, plain: b.plainWrite, check: b.sameAsLarge("written"),
			cpuPer: b.cfg.size}},
		{{name: "copy inside", setup: b.clear("copy"), mounted: b.copyInside, plain: b.plainCopyInside, check: b.sameAsLarge("copy")}},
		{{name: "200 random 4 KiB reads", mounted: b.randomReads}},
		{{name: "30 safe saves", setup: b.makeDocuments, mounted: b.safeSaves, check: b.checkDocuments}},
		{{name: "10 stats during a read", mounted: b.statsDuringRead}},
	}
}

package conn

import (
	"context"
	"syscall"

	"seamount/cache"
	"seamount/conn/wire"
)

// maxIDs is how many ids one request asks the names of.
const maxIDs = 1000

// Statfs implements cache.Remote; ENOTSUP where the server cannot tell.
func (c *Client) Statfs(ctx context.Context, path string) (cache.Statfs, error) {
	o, err := c.begin(ctx, "statfs", path)
	if err != nil {
		return cache.Statfs{}, err
	}
	v, err := track(ctx, o.session, "statvfs", path, o.session.Statvfs(ctx, o.full)).wait(ctx)
	if err != nil {
		return cache.Statfs{}, c.explain(ctx, o, err, notDirAbove)
	}
	return cache.Statfs{
		BlockSize:    v.Bsize,
		FragmentSize: v.Frsize,
		Blocks:       v.Blocks,
		Free:         v.Bfree,
		Avail:        v.Bavail,
		Files:        v.Files,
		FilesFree:    v.Ffree,
		NameMax:      v.Namemax,
		ReadOnly:     v.Flag&wire.StatVFSReadOnly != 0,
	}, nil
}

// Names implements cache.Remote.
func (c *Client) Names(ctx context.Context, uids, gids []uint32) (users, groups []string, err error) {
	s, err := c.meta()
	if err != nil {
		return nil, nil, newError("names", "", err)
	}
	if !s.Caps().UsersGroups {
		return nil, nil, errnoError("names", "", syscall.ENOTSUP)
	}
	var calls []pending[wire.UsersGroupsReply]
	for len(uids) > 0 || len(gids) > 0 {
		u, g := uids[:min(len(uids), maxIDs)], gids[:min(len(gids), maxIDs)]
		uids, gids = uids[len(u):], gids[len(g):]
		calls = append(calls, track(ctx, s, "users-groups-by-id", "", s.UsersGroups(ctx, u, g)))
	}
	for _, call := range calls {
		r, e := call.wait(ctx)
		if e != nil && err == nil {
			err = e
		}
		users, groups = append(users, r.Users...), append(groups, r.Groups...)
	}
	if err != nil {
		return nil, nil, newError("names", "", err)
	}
	return users, groups, nil
}

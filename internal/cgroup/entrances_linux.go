package cgroup

// Entrances are the files a process writes "0" to in order to enter the group: one in each v1 hierarchy, none on v2,
// where FD serves. They are for a process that was cloned by another one than this, which Spawn cannot reach.
func (g *Group) Entrances() []string {
	if g.m.Version() == 2 {
		return nil
	}
	files := make([]string, 0, len(g.m.dirs))
	for _, dir := range g.m.dirs {
		files = append(files, dir+"/"+g.id+"/tasks")
	}
	return files
}

// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// life plays Conway's Game of Life on a torus and prints the last generation.
// It uses the C++ standard library and needs no exceptions, which Debian's
// library for WebAssembly is built without.

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

class Life {
public:
	explicit Life(const std::vector<std::string> &rows)
	    : height_(rows.size()), width_(rows.empty() ? 0 : rows[0].size())
	{
		for (std::size_t y = 0; y < height_; y++)
			for (std::size_t x = 0; x < std::min(width_, rows[y].size()); x++)
				if (rows[y][x] == '#')
					cells_[{y, x}] = true;
	}

	void step()
	{
		std::map<std::pair<std::size_t, std::size_t>, int> near;
		for (const auto &cell : cells_)
			for (std::size_t dy : {height_ - 1, std::size_t(0), std::size_t(1)})
				for (std::size_t dx : {width_ - 1, std::size_t(0), std::size_t(1)})
					if (dy != 0 || dx != 0)
						near[{(cell.first.first + dy) % height_, (cell.first.second + dx) % width_}]++;
		decltype(cells_) next;
		for (const auto &n : near)
			if (n.second == 3 || (n.second == 2 && cells_.count(n.first)))
				next[n.first] = true;
		cells_ = std::move(next);
	}

	friend std::ostream &operator<<(std::ostream &out, const Life &life)
	{
		for (std::size_t y = 0; y < life.height_; y++) {
			for (std::size_t x = 0; x < life.width_; x++)
				out << (life.cells_.count({y, x}) ? '#' : '.');
			out << '\n';
		}
		return out << life.cells_.size() << " alive\n";
	}

	bool empty() const { return cells_.empty(); }

private:
	std::size_t height_, width_;
	std::map<std::pair<std::size_t, std::size_t>, bool> cells_;
};

int main(int argc, char **argv)
{
	int generations = argc > 1 ? std::atoi(argv[1]) : 10;
	std::vector<std::string> rows;
	for (std::string row; std::getline(std::cin, row);)
		rows.push_back(row);
	if (rows.empty()) {
		std::cerr << "life: no field on standard input\n";
		return 3;
	}
	Life life(rows);
	for (int i = 0; i < generations; i++)
		life.step();
	std::cout << life;
	return life.empty() ? 1 : 0;
}

/* A large C++ program with debug information: what a debugger has to look through for one name. It does nothing. */
#include <map>
#include <string>
#include <utility>
#include <vector>

extern "C" __attribute__((noinline)) int wanted_function(int x)
{
    __asm__ volatile("" : "+r"(x));
    return x;
}

template <int N> struct part {
    std::map<int, std::string> names;
    virtual ~part() = default;
    virtual int work(int x) { return x == 0 ? N : static_cast<int>(names[x].size()); }
    int more(const std::vector<std::string> &all) { return static_cast<int>(all.size()) + N; }
};

template <int N> int run(int x)
{
    part<N> one;
    return one.work(x) + one.more({});
}

template <int... N> int run_all(int x, std::integer_sequence<int, N...>)
{
    int (*const all[])(int) = {run<N>...};
    int sum = 0;
    for (auto *each : all)
        sum += each(x);
    return sum;
}

int main(int argc, char **)
{
    wanted_function(argc);
    return argc > 5 ? run_all(argc, std::make_integer_sequence<int, 5000>()) & 1 : 0;
}

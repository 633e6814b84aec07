#include "runtime.h"

#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

namespace convnets {

namespace {

std::mutex cores_mutex;
std::condition_variable cores_freed;
// Counted once: a process may be given more or fewer of them while it runs.
const int64_t all_cores = omp_get_num_procs();
int64_t free_cores = all_cores;

std::mutex scratch_mutex;
std::vector<std::pair<size_t, void*>> unused;  // the smallest first

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = 2 << 20;
#ifdef CONVNETS_GUARD_SCRATCH
constexpr size_t kGuard = 1 << 20;  // bytes behind what was asked for, which must stay as they are
#else
constexpr size_t kGuard = 0;
#endif
constexpr char kUntouched = 0x5a;
constexpr int64_t kWorthAThread = 16384;  // elements; below, waking a thread costs more than it saves

}  // namespace

Turn::Turn(int64_t threads) : share_(std::min(threads, all_cores)) {
  std::unique_lock<std::mutex> lock(cores_mutex);
  cores_freed.wait(lock, [this] { return free_cores >= share_; });
  free_cores -= share_;
  omp_set_num_threads(static_cast<int>(threads));
}

Turn::~Turn() {
  {
    std::lock_guard<std::mutex> lock(cores_mutex);
    free_cores += share_;
  }
  cores_freed.notify_all();
}

Scratch::Scratch(size_t bytes) : data_(nullptr), asked_(bytes) {
  bytes += kGuard;
  const size_t page = bytes < kHugePage ? kPage : kHugePage;
  bytes_ = (bytes + page) / page * page;
  {
    std::lock_guard<std::mutex> lock(scratch_mutex);
    auto found = std::find_if(unused.begin(), unused.end(), [this](const auto& one) { return one.first >= bytes_; });
    if (found != unused.end()) {
      std::tie(bytes_, data_) = *found;
      unused.erase(found);
      guard();
      return;
    }
    if (!unused.empty()) {  // too small for this call: it is replaced, so that there are never more than calls at once
      std::free(unused.back().second);
      unused.pop_back();
    }
  }
  data_ = std::aligned_alloc(page, bytes_);
  if (data_ == nullptr) throw std::bad_alloc();
  // Kernels that write to many places in turn would spend their time looking up small pages.
  if (page == kHugePage) madvise(data_, bytes_, MADV_HUGEPAGE);
  guard();
}

Scratch::~Scratch() {
  check_guard();
  std::lock_guard<std::mutex> lock(scratch_mutex);
  unused.emplace_back(bytes_, data_);
  std::sort(unused.begin(), unused.end());
}

void Scratch::guard() { std::memset(static_cast<char*>(data_) + asked_, kUntouched, kGuard); }

void Scratch::check_guard() const {
  const char* behind = static_cast<const char*>(data_) + asked_;
  size_t touched = kGuard;
  while (touched > 0 && behind[touched - 1] == kUntouched) touched--;
  if (touched == 0) return;
  std::fprintf(stderr, "a kernel wrote up to %zu bytes behind its scratch memory of %zu\n", touched, asked_);
  std::abort();
}

const dnnl::engine& cpu() {
  static const dnnl::engine* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

dnnl::stream& stream() {
  thread_local dnnl::stream stream(cpu());
  return stream;
}

int parts_of(int64_t rows, int64_t columns, int64_t threads) {
  int64_t worthwhile = std::max<int64_t>(1, rows * columns / kWorthAThread);
  return static_cast<int>(std::max<int64_t>(1, std::min({threads, worthwhile, rows})));
}

void in_parts(int64_t rows, int parts, const std::function<void(int, int64_t, int64_t)>& work) {
  if (parts == 1) return work(0, 0, rows);
#pragma omp parallel num_threads(parts)
  {
    // OpenMP may start fewer threads than it is asked for; every part is still worked through.
    for (int part = omp_get_thread_num(); part < parts; part += omp_get_num_threads())
      work(part, rows * part / parts, rows * (part + 1) / parts);
  }
}

}  // namespace convnets

// What Python asks before it builds a program: whether the processor multiplies bfloat16 by itself.
extern "C" int convnets_has_bfloat16() {
  auto isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_fp16 ||
         isa == dnnl::cpu_isa::avx512_core_amx || isa == dnnl::cpu_isa::avx512_core_amx_fp16 ||
         isa == dnnl::cpu_isa::avx2_vnni_2;
}

// And whether it multiplies tiles of it.
extern "C" int convnets_has_tiles() {
  auto isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_amx || isa == dnnl::cpu_isa::avx512_core_amx_fp16;
}
